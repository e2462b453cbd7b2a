"""How columns become inputs, as far as a model's configuration chooses it."""

from typing import Literal

from pydantic import Field

from training.config import Config


class InputConfig(Config):
    """How columns become inputs. A kind of input that is switched off is not read at all.

    Args:
        numeric: give each number standardised (counts as log(1 + n)).
        bucketised: give each number's quantile bucket.
        buckets: quantile buckets of a number of behaviour, and of the days since an instant; one more bucket
            holds missing values.
        modality_buckets: the same of a number of any other modality.
        shrinkage: pulls a standardised statistic of n events towards its training mean: z·n/(n+shrinkage).
        missing: what a standardised number reads where there is none: "mean" (0) or "nan" (for trees).
        logarithmic: give the floor of each number's squared logarithm, as a category.
        min_count: an id, such as a user's, seen in fewer training rows counts as unseen.
        min_category_count: the same of a category; all rarer ones share one embedding.
        ids: give ids.
        categories: give categories, such as an occupation.
        lists: give bags of values and sequences.
        vectors: give vectors.
        context: give hour and weekday of the request, and the days since each instant.
        most_values: values of one bag beyond this many are left out.
    """

    numeric: bool = True
    bucketised: bool = True
    buckets: int = Field(default=16, ge=2, le=254)
    modality_buckets: int = Field(default=8, ge=2, le=254)
    shrinkage: float = Field(default=0.0, ge=0)
    missing: Literal["mean", "nan"] = "mean"
    logarithmic: bool = False
    min_count: int = Field(default=1, ge=1)
    min_category_count: int = Field(default=1, ge=1)
    ids: bool = True
    categories: bool = True
    lists: bool = True
    vectors: bool = True
    context: bool = True
    most_values: int = Field(default=8, ge=1)
