"""`user_poster_taste`: running statistics of the posters of the movies that a user rated."""

import numpy as np

from feature_repo.schema import POSTER_STATISTICS
from pipelines.features import kernels
from pipelines.features.kernels import Events, Floats, Outputs
from pipelines.features.running import Rows, powers_of, running_totals, sorted_by_id

PREFIXES = tuple(f"user_poster_{statistic}" for statistic in POSTER_STATISTICS)


def compute(ratings: Rows, posters: Rows, before: Rows | None = None) -> Rows:
    """One row per user and instant at which the user rated a movie that has a poster; `before` as in
    `running_totals`."""
    ids, facts = sorted_by_id(posters, *POSTER_STATISTICS)
    statistics = np.stack([facts.column(statistic).to_numpy() for statistic in POSTER_STATISTICS])

    def sums(events: Events) -> Floats:
        return np.concatenate([kernels.powers(statistic[events.movie]) for statistic in statistics])

    def outputs(totals: Floats) -> Outputs:
        # A poster has all its statistics, so any of their counts is the number of posters.
        found = kernels.count("user_poster", totals)
        for position, prefix in enumerate(PREFIXES):
            found |= kernels.mean_and_std(prefix, totals[3 * position : 3 * position + 3])
        return found

    names = [name for prefix in PREFIXES for name in powers_of(prefix)]
    return running_totals("user_poster_taste", ratings, names, sums, outputs, ids, before)
