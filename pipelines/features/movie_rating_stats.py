"""`movie_rating_stats`: running statistics of the ratings that a movie got."""

from pipelines.features import kernels
from pipelines.features.kernels import Events, Floats, Outputs
from pipelines.features.running import Rows, powers_of, running_totals

PREFIX = "movie_rating"


def compute(ratings: Rows, before: Rows | None = None) -> Rows:
    """One row per movie and instant at which it was rated; `before` as in `running_totals`."""

    def sums(events: Events) -> Floats:
        return kernels.powers(events.rating)

    def outputs(totals: Floats) -> Outputs:
        return kernels.count(PREFIX, totals) | kernels.mean_and_std(PREFIX, totals)

    return running_totals("movie_rating_stats", ratings, powers_of(PREFIX), sums, outputs, before=before)
