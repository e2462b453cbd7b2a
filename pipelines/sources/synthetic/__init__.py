"""Synthetic ratings, movies, users and posters in MovieLens' shape, whose true like-probabilities are known.

`config` says how much and how strong; `catalogue` draws the movies, `users` who rates when, `profiles` who
they are, `ratings` what and how, `posters` the pictures: pure functions of the config. `job` runs them and
writes the folder, `read` reads it.
"""

from pipelines.sources.synthetic.config import SyntheticConfig
from pipelines.sources.synthetic.job import generate
from pipelines.sources.synthetic.read import read_synthetic

__all__ = ["SyntheticConfig", "generate", "read_synthetic"]
