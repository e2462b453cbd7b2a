"""Synthetic ratings, movies and posters in MovieLens' shape, whose true like-probabilities are known.

`config` says how much and how strong; `catalogue` draws the movies, `ratings` who rates what, `posters` the
pictures: pure functions of the config. `job` runs them on Spark, writes the folder and reads it.
"""

from pipelines.sources.synthetic.config import SyntheticConfig
from pipelines.sources.synthetic.job import generate, read_synthetic

__all__ = ["SyntheticConfig", "generate", "read_synthetic"]
