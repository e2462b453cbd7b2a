"""What `feature_build.py` measures us beside: the same tables in DuckDB's SQL, in Polars, and as plain Spark.

Each builds the tables of a lake in the folder `out`, as Parquet, and returns what that took.
"""

import os
from pathlib import Path
from typing import Any

from events import GENRES
from measure import Timer

YEAR_ORIGIN = 2000
BASE = 64
"""A genre's likes and its place in the alphabet as one number: likes · BASE + (BASE − 1 − place)."""


def duckdb_sql(lake: Path, out: Path) -> Timer:
    import duckdb
    from deltalake import DeltaTable

    with Timer() as timer, duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        for name in ("ratings", "movies"):
            con.register(name, DeltaTable(lake / name).to_pyarrow_dataset())
        con.execute(
            "CREATE TABLE rated AS SELECT user_id, movie_id, rating, event_timestamp AS moment, genres,"
            f" release_year - {YEAR_ORIGIN} AS year FROM ratings JOIN movies USING (movie_id)"
        )
        known = "moment + INTERVAL 1 MICROSECOND AS event_timestamp"
        for name, query in duckdb_queries(known).items():
            con.execute(f"COPY ({query}) TO '{out / name}.parquet' (FORMAT parquet)")
    return timer


def duckdb_queries(known: str) -> dict[str, str]:
    def stats(prefix: str, n: str, total: str, squares: str, origin: int) -> str:
        variance = f"({squares} - {total} * {total} / nullif({n}, 0)) / nullif({n}, 0)"
        return (
            f"{origin} + {total} / nullif({n}, 0) AS {prefix}_mean,"
            f" sqrt(CASE WHEN {variance} < 0 THEN 0 ELSE {variance} END) AS {prefix}_std"
        )

    def totals(key: str, sums: dict[str, str], further: str = "") -> str:
        instants = ", ".join(f"{value} AS {name}" for name, value in sums.items())
        running = ", ".join(f"sum({name}) OVER so_far AS {name}" for name in sums)
        return (
            f"SELECT {key}, moment, {running}{further}"
            f" FROM (SELECT {key}, moment, {instants} FROM rated GROUP BY {key}, moment)"
            f" WINDOW so_far AS (PARTITION BY {key} ORDER BY moment ROWS UNBOUNDED PRECEDING)"
        )

    stars = {"n": "count(*)", "total": "sum(rating)", "squares": "sum(rating * rating)"}
    years = {
        "years": "count(year)",
        "year_total": "coalesce(sum(year), 0)::DOUBLE",
        "year_squares": "coalesce(sum(year * year), 0)::DOUBLE",
    }
    likes = {
        f"likes_{place}": f"count(*) FILTER (rating >= 3.5 AND list_contains(genres, '{genre}'))"
        for place, genre in enumerate(GENRES)
    }
    first = ", date_trunc('second', min(moment) OVER so_far) AS user_rating_first_at"
    codes = ", ".join(f"likes_{place} * {BASE} + {BASE - 1 - place}" for place in range(len(GENRES)))
    names = "[" + ", ".join(f"'{genre}'" for genre in GENRES) + "]"
    top = (
        f"list_transform(list_reverse_sort([{codes}])[1:3], lambda code: CASE WHEN code < {BASE} THEN ''"
        f" ELSE {names}[({BASE} - code % {BASE})::BIGINT] END)"
    )

    def lags(column: str, padding: str) -> str:
        earlier = ", ".join(f"lag({column}, {back}, {padding}) OVER in_order" for back in range(1, 5))
        return f"[{column}, {earlier}]"

    return {
        "movie_content": "SELECT movie_id, genres AS movie_genres, release_year AS movie_release_year,"
        " TIMESTAMPTZ '1990-01-01 00:00:00+00' AS event_timestamp FROM movies",
        "movie_rating_stats": f"SELECT movie_id, n::BIGINT AS movie_rating_count,"
        f" {stats('movie_rating', 'n', 'total', 'squares', 0)}, {known} FROM ({totals('movie_id', stars)})",
        "user_rating_stats": f"SELECT user_id, n::BIGINT AS user_rating_count,"
        f" {stats('user_rating', 'n', 'total', 'squares', 0)},"
        f" {stats('user_release_year', 'years', 'year_total', 'year_squares', YEAR_ORIGIN)},"
        f" {top} AS user_top_genres, user_rating_first_at, {known}"
        f" FROM ({totals('user_id', stars | years | likes, first)})",
        "user_recent_likes": "SELECT user_id, movies AS user_recent_liked_movie_ids,"
        f" genres AS user_recent_liked_genres, {known} FROM (SELECT user_id, moment,"
        f" {lags('movie_id', '0')} AS movies, {lags('joined', chr(39) * 2)} AS genres,"
        " lead(moment) OVER in_order AS following"
        " FROM (SELECT *, array_to_string(genres, '|') AS joined FROM rated WHERE rating >= 3.5)"
        " WINDOW in_order AS (PARTITION BY user_id ORDER BY moment, movie_id))"
        " WHERE following IS NULL OR following > moment",
    }


def polars_frames(lake: Path, out: Path) -> Timer:
    import polars as pl
    from deltalake import DeltaTable

    known = (pl.col("event_timestamp") + pl.duration(microseconds=1)).alias("event_timestamp")

    def powers(prefix: str, value: Any) -> list[Any]:
        named = (value.is_not_null(), value.fill_null(0), (value * value).fill_null(0))
        operations = ("n", "total", "squares")
        return [
            x.cast(pl.Float64).sum().alias(f"{prefix}_{to}") for x, to in zip(named, operations, strict=True)
        ]

    def stats(prefix: str, origin: int = 0) -> list[Any]:
        n, total, squares = (pl.col(f"{prefix}_{name}") for name in ("n", "total", "squares"))
        n = pl.when(n > 0).then(n)
        variance = (squares - total * total / n) / n
        return [
            (origin + total / n).alias(f"{prefix}_mean"),
            variance.clip(lower_bound=0).sqrt().alias(f"{prefix}_std"),
        ]

    def totals(frame: Any, key: str, sums: list[Any]) -> Any:
        instants = frame.group_by(key, "event_timestamp").agg(sums).sort(key, "event_timestamp")
        names = [name for name in instants.columns if name not in (key, "event_timestamp")]
        return instants.with_columns(pl.col(names).cum_sum().over(key))

    with Timer() as timer:
        frames = {
            name: pl.from_arrow(DeltaTable(lake / name).to_pyarrow_table()) for name in ("ratings", "movies")
        }
        movies = frames["movies"].with_columns(year=pl.col("release_year") - YEAR_ORIGIN)
        beginning = pl.datetime(1990, 1, 1, time_zone="UTC")
        movies.select(
            "movie_id",
            movie_genres="genres",
            movie_release_year="release_year",
            event_timestamp=beginning.cast(pl.Datetime("us", "UTC")),
        ).write_parquet(out / "movie_content.parquet")
        rated = frames["ratings"].join(
            movies.select(
                "movie_id",
                "year",
                pl.col("genres").list.join("|").alias("joined"),
                *(pl.col("genres").list.contains(genre).alias(genre) for genre in GENRES),
            ),
            on="movie_id",
        )
        found = totals(rated, "movie_id", powers("movie_rating", pl.col("rating")))
        found.select(
            "movie_id",
            pl.col("movie_rating_n").cast(pl.Int64).alias("movie_rating_count"),
            *stats("movie_rating"),
            known,
        ).write_parquet(out / "movie_rating_stats.parquet")
        liked = pl.col("rating") >= 3.5
        likes = [(pl.col(genre) & liked).cast(pl.Int32).sum() for genre in GENRES]
        sums = [
            *powers("user_rating", pl.col("rating")),
            *powers("user_release_year", pl.col("year")),
            *likes,
        ]
        found = totals(rated, "user_id", sums)
        codes = [pl.col(genre).cast(pl.Int64) * BASE + (BASE - 1 - at) for at, genre in enumerate(GENRES)]
        best = pl.concat_list(codes).list.sort(descending=True).list.head(3)
        place = pl.when(pl.element() < BASE).then(len(GENRES)).otherwise(BASE - 1 - pl.element() % BASE)
        names = pl.Series([*GENRES, ""])
        found.select(
            "user_id",
            pl.col("user_rating_n").cast(pl.Int64).alias("user_rating_count"),
            *stats("user_rating"),
            *stats("user_release_year", YEAR_ORIGIN),
            pl.col("event_timestamp").min().over("user_id").dt.truncate("1s").alias("user_rating_first_at"),
            best.list.eval(place.replace_strict(range(len(names)), names)).alias("user_top_genres"),
            known,
        ).write_parquet(out / "user_rating_stats.parquet")
        found = rated.filter(liked).sort("user_id", "event_timestamp", "movie_id")
        lagged = {"user_recent_liked_movie_ids": ("movie_id", 0), "user_recent_liked_genres": ("joined", "")}
        found.select(
            "user_id",
            "event_timestamp",
            *(
                pl.concat_list(
                    pl.col(column).shift(back, fill_value=padding).over("user_id") for back in range(5)
                ).alias(name)
                for name, (column, padding) in lagged.items()
            ),
            following=pl.col("event_timestamp").shift(-1).over("user_id"),
        ).filter(pl.col("following").is_null() | (pl.col("following") > pl.col("event_timestamp"))).select(
            "user_id", *lagged, known
        ).write_parquet(out / "user_recent_likes.parquet")
    return timer


def plain_spark(lake: Path, out: Path) -> Timer:
    from delta import configure_spark_with_delta_pip
    from pyspark.sql import SparkSession, Window
    from pyspark.sql import functions as F

    from lake.spark import output_into
    from lake.spark_java import JARS

    builder = (
        SparkSession.builder.appName("plain")
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .config("spark.jars.ivy", str(JARS))
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.driver.memory", os.environ.get("MARQUEE_SPARK_MEMORY", "2g"))
        .config("spark.local.dir", str(out / "scratch"))
        .config("spark.ui.enabled", "false")
    )
    with output_into(out / "spark.log"):
        spark = configure_spark_with_delta_pip(builder).getOrCreate()
    spark.range(10).count()
    with Timer() as timer:
        movies = spark.read.format("delta").load(str(lake / "movies"))
        rated = spark.read.format("delta").load(str(lake / "ratings")).join(movies, "movie_id")
        movies.select("movie_id", "genres", "release_year").write.parquet(str(out / "movie_content"))
        in_time = Window.partitionBy("movie_id").orderBy("event_timestamp")
        before = in_time.rowsBetween(Window.unboundedPreceding, -1)
        rated.select(
            "movie_id",
            "event_timestamp",
            F.count("*").over(before).alias("movie_rating_count"),
            F.avg("rating").over(before).alias("movie_rating_mean"),
            F.stddev_pop("rating").over(before).alias("movie_rating_std"),
        ).write.parquet(str(out / "movie_rating_stats"))
        in_time = Window.partitionBy("user_id").orderBy("event_timestamp")
        before, last = in_time.rowsBetween(Window.unboundedPreceding, -1), in_time.rowsBetween(-100, -1)
        seen = F.collect_list(F.struct("movie_id", "rating", "genres")).over(last)
        history = rated.select(
            "user_id",
            "event_timestamp",
            F.count("*").over(before).alias("user_rating_count"),
            F.avg("rating").over(before).alias("user_rating_mean"),
            F.stddev_pop("rating").over(before).alias("user_rating_std"),
            F.avg("release_year").over(before).alias("user_release_year_mean"),
            F.stddev_pop("release_year").over(before).alias("user_release_year_std"),
            F.min("event_timestamp").over(before).alias("user_rating_first_at"),
            F.filter(seen, lambda event: event["rating"] >= 3.5).alias("liked"),
        )
        genres = F.flatten(F.transform("liked", lambda event: event["genres"]))

        def counted(genre: Any) -> Any:
            same = F.filter(genres, lambda other: other == genre)
            return F.struct((-F.size(same)).alias("order"), genre.alias("genre"))

        ranked = F.array_sort(F.transform(F.array_distinct(genres), counted))
        history.select(
            *(name for name in history.columns if name != "liked"),
            F.slice(F.transform(ranked, lambda entry: entry["genre"]), 1, 3).alias("user_top_genres"),
        ).write.parquet(str(out / "user_rating_stats"))
        newest = F.slice(F.reverse("liked"), 1, 5)
        history.select(
            "user_id",
            "event_timestamp",
            F.transform(newest, lambda event: event["movie_id"]).alias("user_recent_liked_movie_ids"),
            F.transform(newest, lambda event: F.concat_ws("|", event["genres"])).alias(
                "user_recent_liked_genres"
            ),
        ).write.parquet(str(out / "user_recent_likes"))
    return timer
