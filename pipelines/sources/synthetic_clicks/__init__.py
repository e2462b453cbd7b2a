"""Generated click logs of Criteo's shape, whose true click probabilities are known.

`config` says how much and how strong, `model` what values and their effects are, `rows` draws blocks of rows,
`job` writes them here or by Spark, and `read` gives what was written as a source.
"""

from pipelines.sources.synthetic_clicks.config import ClicksConfig
from pipelines.sources.synthetic_clicks.job import generate
from pipelines.sources.synthetic_clicks.read import read_clicks

__all__ = ["ClicksConfig", "generate", "read_clicks"]
