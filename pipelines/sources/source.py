"""What every source gives."""

from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame


@dataclass(frozen=True, slots=True)
class Source:
    """Three raw tables, read but not checked: `pipelines.ingest.ingest` checks them.

    Values stand as they were read (text, or numbers where the files are typed); whatever cannot be read as
    what it should be is for the quarantine, not for the source. Each row knows where it came from:
    `source` (STRING, the file) and `row` (BIGINT, counted from 1 in that file, a header line included), and
    `record` (STRING) is the row as it was read.

    Args:
        name: "movielens" or "synthetic".
        description: one line for people: which files, in which layout.
        ratings: `user_id, movie_id, rating, timestamp` (seconds since 1970), `record, source, row`.
        movies: `movie_id, title` (without the year), `genres` (joined by "|", "" for none), `release_year`,
            `record, source, row`.
        posters: `movie_id, source` (path of the picture); None where there are none.
        left_out: ratings of the files that were not asked for (`--first-movies`).
        likelihood: Parquet of the events' true like-probabilities, which no table and no feature ever holds;
            None where they are unknown.
    """

    name: str
    description: str
    ratings: DataFrame
    movies: DataFrame
    posters: DataFrame | None = None
    left_out: int = 0
    likelihood: Path | None = None
