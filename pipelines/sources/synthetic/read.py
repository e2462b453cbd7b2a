"""Generated data as a source."""

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from common.errors import MarqueeError
from feature_repo.define.column import quoted
from feature_repo.domains.movies.tables import MOVIES, POSTERS, RATINGS, USERS
from lake.dialect import double_as_text
from pipelines.sources.generated import made_from
from pipelines.sources.posters import posters_of
from pipelines.sources.readings import Reading, as_it_is, instant, number, text, whole_number, words
from pipelines.sources.source import Raw, Rows, Source
from pipelines.sources.synthetic import job
from pipelines.sources.synthetic.profiles import PROFILES_SCHEMA

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

RATING_READINGS = (
    whole_number("user_id", of="whole"),
    whole_number("movie_id", of="whole"),
    number("rating", of="fraction"),
    instant("event_timestamp", "timestamp", of="whole"),
)
MOVIE_READINGS = (
    whole_number("movie_id", of="whole"),
    text("title"),
    words("genres"),
    as_it_is("release_year"),
)
USER_READINGS = (
    whole_number("user_id", of="whole"),
    whole_number("age", of="whole"),
    text("gender"),
    text("occupation"),
    text("zip_code"),
)


def read_synthetic(folder: Path, first_movies: int | None = None) -> Source:
    """The source that was generated into `folder`.

    Args:
        first_movies: only movies with ids up to this, and their ratings and posters.

    Raises:
        MarqueeError: nothing (finished) was generated there.
    """
    folder = folder.absolute()
    made = made_from(folder)
    if made is None:
        raise MarqueeError(f"No synthetic data in {folder}: generate them with `marquee data synth`.")
    asked = "" if first_movies is None else f"movie_id <= {first_movies}"
    pictures = sorted((int(path.stem), str(path)) for path in (folder / job.POSTERS).glob("*.jpg"))
    shown = [(str(movie), path) for movie, path in pictures if first_movies is None or movie <= first_movies]
    tables = {
        RATINGS.name: _raw(folder / job.RATINGS, job.RATINGS_SCHEMA, RATING_READINGS, asked),
        MOVIES.name: _raw(folder / job.MOVIES, job.MOVIES_SCHEMA, MOVIE_READINGS, asked),
    }
    if (folder / job.USERS).is_dir():  # a folder of an earlier version has none
        tables[USERS.name] = _raw(folder / job.USERS, PROFILES_SCHEMA, USER_READINGS, "")
    if shown:
        tables[POSTERS.name] = posters_of(shown)
    config = made["config"]
    return Source(
        name="synthetic",
        description=(
            f"synthetic: {config['ratings']:,} ratings by {config['users']:,} users of "
            f"{config['movies']:,} movies, seed {config['seed']}, Parquet in {folder}"
        ),
        tables=tables,
        likelihood=folder / job.LIKELIHOOD,
    )


def _raw(folder: Path, schema: pa.Schema, readings: tuple[Reading, ...], asked: str) -> Raw:
    """One table of Parquet files; the record of a row is its values by name, as in JSON."""
    parts = []
    for field in schema:
        name = quoted(field.name)
        value = double_as_text(name) if pa.types.is_floating(field.type) else f"CAST({name} AS STRING)"
        quote = '"' if pa.types.is_string(field.type) else ""
        parts.append(f"'\"{field.name}\":{quote}', {value}, '{quote}'")
    record = "concat('{', " + ", ',', ".join(parts) + ", '}')"
    return Raw(_rows(folder, schema), readings, {"record": record}, asked=asked)


def _rows(folder: Path, schema: pa.Schema) -> Rows:
    """Rows of a folder of Parquet files, each with its file and its number in it."""
    files = sorted(folder.glob("*.parquet"))

    def in_memory() -> pa.Table:
        tables = []
        for file in files:
            rows = pq.ParquetFile(file).read()
            rows = rows.append_column("source", pa.repeat(str(file), rows.num_rows))
            tables.append(rows.append_column("row", pa.array(range(1, rows.num_rows + 1), pa.int64())))
        return pa.concat_tables(tables)

    def on_spark(spark: "SparkSession") -> "DataFrame":
        from pyspark.sql import functions as F

        # The name of a file of ours is the same as a path and in a URL; that of the folder may be not.
        name = F.element_at(F.split("_metadata.file_path", "/"), -1)
        return spark.read.parquet(str(folder)).select(
            *schema.names,
            F.concat(F.lit(f"{folder}/"), name).alias("source"),
            (F.col("_metadata.row_index") + 1).alias("row"),
        )

    return Rows(sum(pq.ParquetFile(file).metadata.num_rows for file in files), in_memory, on_spark)
