"""From a source's raw rows to the lake's `ratings`, `movies` and `posters`, and to `quarantine` for the rest.

Every row read is accepted or quarantined with the first rule that it broke, in this order: each value can be
read as its type; the table's row rules (`schema.Table.row_rules`); rows are unique; references exist. Sources
are read once: the typed rows are kept on disk while they are checked and written.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.types import FractionalType, StringType

from common.errors import MarqueeError
from common.files import REFUSALS
from feature_repo.schema import (
    EVENT_TIMESTAMP,
    GENRE_SEPARATOR,
    MOVIES,
    POSTER_STATISTICS,
    POSTERS,
    QUARANTINE,
    QUARANTINE_COLUMNS,
    RATINGS,
    TABLES,
    Reference,
    Table,
)
from feature_repo.spark import spark_schema, spark_schema_of
from lake import spark_tables
from lake.tables import count_rows, exists
from pipelines.ingest.small_add import append_few
from pipelines.sources.poster_statistics import measure_posters
from pipelines.sources.source import Source

ORIGIN = ("source", "row", "record")
"""Where a row came from; see `Source`."""
SHOWN_CHARACTERS = 60
"""Of a value that a reason quotes."""
FEW = 500_000
"""Rows, at most, that are compared in this process with what the lake holds, not by jobs of Spark."""
FARTHEST = 1e11
"""Seconds since 1970. What is farther off is brought here: the year 5138, which no time rule lets pass."""


@dataclass(frozen=True, slots=True)
class TableReport:
    """What became of one table's rows: `read` = `accepted` + `quarantined` + `known`.

    Args:
        by_rule: of the quarantined.
        known: rows that the lake had already, where a source was added to it.
        reasons: the first row of each rule broken, where a source was added: what is wrong with it.
    """

    read: int
    accepted: int
    quarantined: int
    by_rule: dict[str, int]
    known: int = 0
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of every row read, by table, and how many ratings were not asked for."""

    source: str
    tables: dict[str, TableReport]
    left_out: int


@dataclass(frozen=True, slots=True)
class Checked:
    """A table's rows, parted.

    Args:
        good: the table's columns.
        bad: the quarantine's columns.
        read: rows in both together.
        located: the good rows with the columns of `ORIGIN` too.
    """

    good: DataFrame
    bad: DataFrame
    read: int
    located: DataFrame


def ingest(spark: SparkSession, source: Source, lake: Path) -> IngestReport:
    """Check a source and publish its tables, each in one commit; with a source of no posters, an empty table.

    Raises:
        MarqueeError: no rating or no movie is good (then nothing is written), or the disk refuses.
    """
    with (
        _clear_errors(),
        check_movies(source.movies) as movies,
        check_ratings(source.ratings, movies.good) as ratings,
    ):
        _refuse_if_none_good("movies", movies)
        _refuse_if_none_good("ratings", ratings)
        tables = {MOVIES.name: movies, RATINGS.name: ratings}
        if source.posters is None:
            reports = _publish(spark, lake, {**tables, POSTERS.name: _no_posters(spark)})
        else:
            with check_posters(source.posters, movies.good) as posters:
                reports = _publish(spark, lake, {**tables, POSTERS.name: posters})
        return IngestReport(source.description, reports, source.left_out)


def add(spark: SparkSession, source: Source, lake: Path) -> IngestReport:
    """Check a source and append what the lake does not have yet, each table in one commit.

    A rating that the lake has with other stars is quarantined. A movie or poster that it has stays as it is:
    `ingest` replaces a catalogue. Where the lake is empty this is `ingest`.

    Raises:
        MarqueeError: the disk refuses.
    """
    if not all(exists(lake, name) for name in (MOVIES.name, RATINGS.name, POSTERS.name)):
        return ingest(spark, source, lake)
    held = spark_tables.read(spark, lake, MOVIES.name)
    with _clear_errors(), check_movies(source.movies) as movies:
        catalogue = held.unionByName(movies.good.join(held, "movie_id", "left_anti")).persist()
        try:
            reports = {MOVIES.name: _append_new(spark, lake, MOVIES, movies)}
            with check_ratings(source.ratings, catalogue) as ratings:
                reports[RATINGS.name] = _append_new(spark, lake, RATINGS, ratings)
            if source.posters is not None:
                with check_posters(source.posters, catalogue) as posters:
                    reports[POSTERS.name] = _append_new(spark, lake, POSTERS, posters)
        finally:
            catalogue.unpersist()
    return IngestReport(source.description, reports, source.left_out)


def add_ratings(spark: SparkSession, ratings: DataFrame, lake: Path) -> TableReport:
    """Check raw ratings (`Source.ratings`) against the lake's catalogue, and append the new as `add` does.

    Raises:
        MarqueeError: the lake has no catalogue or no ratings, or the disk refuses.
    """
    movies = spark_tables.read(spark, lake, MOVIES.name)
    with _clear_errors(), check_ratings(ratings, movies) as checked:
        return _append_new(spark, lake, RATINGS, checked)


def _append_new(spark: SparkSession, lake: Path, table: Table, checked: Checked) -> TableReport:
    """Append a table's new rows, and to the quarantine what it does not hold yet; no commit of nothing."""
    if checked.read <= FEW:
        done = append_few(lake, table, checked.located.toArrow(), checked.bad.toArrow())
        quarantined = sum(done.by_rule.values())
        known = checked.read - done.accepted - quarantined
        return TableReport(checked.read, done.accepted, quarantined, done.by_rule, known, done.reasons)
    held = spark_tables.read(spark, lake, table.name)
    unique = list(table.unique)
    bad = checked.bad
    if table is RATINGS:
        bad = bad.unionByName(_contradictions(checked.located, held))
    bad = bad.persist(StorageLevel.DISK_ONLY)
    try:
        first = F.min_by("reason", F.struct("source", "row"))
        rules = bad.groupBy("rule").agg(F.count("*").alias("rows"), first.alias("reason")).collect()
        by_rule = {row["rule"]: int(row["rows"]) for row in sorted(rules)}
        quarantined = sum(by_rule.values())
        before = count_rows(lake, table.name)
        new = checked.good.join(held, unique, "left_anti")
        if quarantined < checked.read and not new.isEmpty():
            spark_tables.append(new, lake, table.name, spark_schema(table))
        accepted = count_rows(lake, table.name) - before
        if quarantined:
            quarantine = spark_tables.read(spark, lake, QUARANTINE).alias("held")
            same = [F.col(f"bad.{c.name}").eqNullSafe(F.col(f"held.{c.name}")) for c in QUARANTINE_COLUMNS]
            fresh = bad.alias("bad").join(quarantine, reduce(Column.__and__, same), "left_anti")
            spark_tables.append(fresh, lake, QUARANTINE, spark_schema_of(QUARANTINE_COLUMNS))
    finally:
        bad.unpersist()
    known = checked.read - accepted - quarantined
    return TableReport(
        checked.read, accepted, quarantined, by_rule, known, tuple(row["reason"] for row in sorted(rules))
    )


def _contradictions(ratings: DataFrame, held: DataFrame) -> DataFrame:
    """Ratings that the lake has with other stars, as rows of the quarantine."""
    unique = list(RATINGS.unique)
    stars = held.withColumnRenamed("rating", "held_rating")
    others = ratings.join(stars, unique).where("rating != held_rating")
    reason = F.concat(F.lit("the lake has it with "), F.col("held_rating"), F.lit(" stars"))
    return others.select(
        F.lit(RATINGS.name).alias("table"),
        F.lit(f"{RATINGS.name}_are_unique").alias("rule"),
        reason.alias("reason"),
        *ORIGIN,
    )


def _publish(spark: SparkSession, lake: Path, tables: Mapping[str, Checked]) -> dict[str, TableReport]:
    for name, checked in tables.items():
        spark_tables.overwrite(checked.good, lake, name, spark_schema(TABLES[name]))
    bad = reduce(DataFrame.unionByName, (checked.bad for checked in tables.values()))
    spark_tables.overwrite(bad, lake, QUARANTINE, spark_schema_of(QUARANTINE_COLUMNS))
    counts = spark_tables.read(spark, lake, QUARANTINE).groupBy("table", "rule").count().collect()
    reports = {}
    for name, checked in tables.items():
        by_rule = {row["rule"]: int(row["count"]) for row in counts if row["table"] == name}
        accepted = count_rows(lake, name)
        quarantined = sum(by_rule.values())
        if checked.read != accepted + quarantined:
            raise RuntimeError(
                f"{name}: read {checked.read} rows, but accepted {accepted} and quarantined {quarantined}"
            )
        reports[name] = TableReport(checked.read, accepted, quarantined, dict(sorted(by_rule.items())))
    return reports


def _no_posters(spark: SparkSession) -> Checked:
    good, bad = (
        spark.createDataFrame([], schema)
        for schema in (spark_schema(POSTERS), spark_schema_of(QUARANTINE_COLUMNS))
    )
    return Checked(good, bad, read=0, located=good)


def _refuse_if_none_good(name: str, checked: Checked) -> None:
    if not checked.good.isEmpty():
        return
    if checked.read == 0:
        raise MarqueeError(f"There are no {name} in what was read; nothing was written.")
    example = checked.bad.orderBy("source", "row").first()
    assert example is not None, "every row is good or bad"
    raise MarqueeError(
        f"None of the {checked.read:,} {name} that were read can be used, so nothing was written; the first, "
        f"{example['source']} row {example['row']}, broke {example['rule']}: {example['reason']}."
    )


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Spark's errors that a person can mend, as one sentence."""
    try:
        yield
    except spark_tables.SPARK_ERRORS as error:
        text = str(error)
        refusal = next((refusal for refusal in REFUSALS if refusal in text), None)
        if refusal is not None:
            raise MarqueeError(
                f"Spark cannot write its temporary files: {refusal}. "
                "Free some space, or choose a roomy writable folder (--home or MARQUEE_HOME)."
            ) from error
        if "FAILED_READ_FILE" in text or "PATH_NOT_FOUND" in text:
            found = re.search(r"file:/+[^\s'\"]*[^\s'\".]", text)
            name = f"/{found[0].removeprefix('file:').lstrip('/')}" if found else "A file of the source"
            raise MarqueeError(f"{name} vanished or changed while it was read; run again.") from error
        raise


# --- the three tables -----------------------------------------------------------------------------------


@contextmanager
def check_ratings(raw: DataFrame, movies: DataFrame) -> Iterator[Checked]:
    """Part raw ratings (`Source.ratings`) by the rules of `schema.RATINGS`.

    Args:
        movies: the accepted catalogue.
    """
    readings = (
        Reading("user_id", "user_id", _whole_number, "a whole number"),
        Reading("movie_id", "movie_id", _whole_number, "a whole number"),
        Reading("rating", "rating", _number, "a number"),
        Reading(EVENT_TIMESTAMP, "timestamp", _instant, "a number"),
    )
    with _check(judge(raw, RATINGS, readings), RATINGS, {MOVIES.name: movies}) as checked:
        yield checked


@contextmanager
def check_movies(raw: DataFrame) -> Iterator[Checked]:
    """Part a raw catalogue (`Source.movies`) by the rules of `schema.MOVIES`."""
    readings = (
        Reading("movie_id", "movie_id", _whole_number, "a whole number"),
        Reading("title", "title", _text),
        Reading("genres", "genres", _genres),
        Reading("release_year", "release_year", _whole_number, "a whole number"),
    )
    with _check(judge(raw, MOVIES, readings), MOVIES, {}) as checked:
        yield checked


@contextmanager
def check_posters(raw: DataFrame, movies: DataFrame) -> Iterator[Checked]:
    """Decode posters (`Source.posters`) and part them by the rules of `schema.POSTERS`.

    A file that is no picture breaks `poster_is_readable`.

    Args:
        movies: the accepted catalogue.
    """
    readings = (
        Reading("movie_id", "movie_id", _whole_number, "a whole number, which a poster's name has to be"),
        Reading("file", "source", _as_it_is),
        *(
            Reading(name, name, _as_it_is)
            for name in ("problem", "sha256", "width", "height", *POSTER_STATISTICS)
        ),
    )
    measured = measure_posters(raw)
    located = measured.withColumns({"row": F.lit(None).cast("bigint"), "record": F.col("source")})
    readable = Fault(
        "poster_is_readable", F.col("problem").isNotNull(), F.concat(F.lit("the file "), F.col("problem"))
    )
    judged = judge(located, POSTERS, readings, readable)
    with _check(judged, POSTERS, {MOVIES.name: movies}) as checked:
        yield checked


# --- typing and row rules -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reading:
    """How one column of a source becomes a typed one.

    Args:
        column: the typed column.
        raw: the source's column.
        read: the typed value of a raw one, given whether that is text; null where it cannot be read.
        kind: what the value has to be ("a number"); "" where anything can be read.
    """

    column: str
    raw: str
    read: Callable[[Column, "Kind"], Column]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a raw column holds: text, or numbers that may have a fraction, or other things."""

    is_text: bool
    is_fractional: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule that a row breaks where `broken` is true, and the sentence that says how."""

    rule: str
    broken: Column
    reason: Column


def judge(raw: DataFrame, table: Table, readings: Sequence[Reading], *further: Fault) -> DataFrame:
    """Type each row and judge it by itself.

    Args:
        raw: the readings' raw columns, and `ORIGIN`.
        readings: of all the table's columns.
        further: judged after the types and before the table's row rules.

    Returns:
        The readings' columns, `ORIGIN`, and `rule` and `reason`: the first rule that the row broke and the
        sentence that says how, both null for a good row.
    """
    kinds = {
        field.name: Kind(isinstance(field.dataType, StringType), isinstance(field.dataType, FractionalType))
        for field in raw.schema
    }
    typed = raw.select(
        *(reading.read(F.col(reading.raw), kinds[reading.raw]).alias(reading.column) for reading in readings),
        *(F.col(reading.raw).alias(f"raw {reading.raw}") for reading in readings if reading.kind),
        *ORIGIN,
    )
    types = [_type_fault(reading, kinds[reading.raw]) for reading in readings if reading.kind]
    faults = [*types, *further, *_row_faults(table)]
    rule = _first((fault.broken, F.lit(fault.rule)) for fault in faults)
    reason = _first((F.col("rule") == fault.rule, fault.reason) for fault in faults)
    judged = typed.withColumn("rule", rule).withColumn("reason", F.when(F.col("rule").isNotNull(), reason))
    return judged.select(*(reading.column for reading in readings), *ORIGIN, "rule", "reason")


def _first(cases: Iterable[tuple[Column, Column]]) -> Column:
    """The value of the first case that holds; null where none does."""
    (condition, value), *others = cases
    # One flat chain: nested ones take the optimiser long.
    return reduce(lambda chain, case: chain.when(*case), others, F.when(condition, value))


def _type_fault(reading: Reading, kind: Kind) -> Fault:
    raw = F.col(f"`raw {reading.raw}`")
    # An empty field is missing, which the presence rule says; it is no failed number.
    given = F.trim(raw) != "" if kind.is_text else raw.isNotNull()
    reason = F.concat(F.lit(f"{reading.raw} '"), _shown(raw), F.lit(f"' is not {reading.kind}"))
    return Fault(f"{reading.raw}_is_number", given & F.col(reading.column).isNull(), reason)


def _row_faults(table: Table) -> list[Fault]:
    faults = []
    for rule in table.row_rules:
        reason = F.lit(rule.reason)
        if rule.column and rule.kind != "present":
            reason = F.concat(reason, F.lit(": "), _shown(F.col(rule.column)))
        # A predicate that is null counts as false.
        faults.append(Fault(rule.name, ~F.coalesce(F.expr(rule.predicate), F.lit(False)), reason))
    return faults


def _shown(value: Column) -> Column:
    return F.coalesce(F.substring(value.cast("string"), 1, SHOWN_CHARACTERS), F.lit("nothing"))


def _as_it_is(raw: Column, _: Kind) -> Column:
    return raw


def _text(raw: Column, _: Kind) -> Column:
    return F.nullif(F.trim(raw), F.lit(""))


def _whole_number(raw: Column, kind: Kind) -> Column:
    number = raw.try_cast("bigint")
    return F.when(raw == F.floor(raw), number) if kind.is_fractional else number


def _number(raw: Column, kind: Kind) -> Column:
    """A finite number. Java takes "3.5d", "NaN" and "0x1p3" for numbers; people do not."""
    number = raw.try_cast("double")
    if kind.is_text:
        return F.when(raw.rlike(r"^\s*[-+]?[0-9.]+([eE][-+]?[0-9]+)?\s*$"), number)
    return F.when(~F.isnan(number), number)


def _instant(raw: Column, kind: Kind) -> Column:
    """Seconds since 1970, whole or not, as an instant to the microsecond."""
    seconds = F.greatest(F.least(_number(raw, kind), F.lit(FARTHEST)), F.lit(-FARTHEST))
    instant = F.timestamp_micros(F.round(seconds * 1_000_000).cast("bigint"))
    # `greatest` and `least` skip nulls.
    return F.when(_number(raw, kind).isNotNull(), instant)


def _genres(raw: Column, _: Kind) -> Column:
    """Genres joined by "|", sorted and distinct; of "", none."""
    genres = F.transform(F.split(raw, rf"\{GENRE_SEPARATOR}"), lambda genre: F.trim(genre))
    return F.array_sort(F.array_distinct(F.filter(genres, lambda genre: genre != "")))


# --- rules over several rows ----------------------------------------------------------------------------


@contextmanager
def _check(judged: DataFrame, table: Table, references: Mapping[str, DataFrame]) -> Iterator[Checked]:
    """Part judged rows into good and bad by uniqueness and references too.

    The rows stay on disk until the context ends.
    """
    kept = judged.persist(StorageLevel.DISK_ONLY)
    hashed = F.xxhash64(*table.unique)
    # A hash that occurs twice is a suspect; only the rows of suspects are compared by their true values.
    suspects = (
        kept.where("rule IS NULL")
        .groupBy(hashed.alias("hash"))
        .count()
        .where("count > 1")
        .select("hash")
        .persist(StorageLevel.DISK_ONLY)
    )
    try:
        read = kept.count()
        good, bad = kept.where("rule IS NULL"), [kept.where("rule IS NOT NULL")]
        if suspects.count():
            suspected = hashed == F.col("hash")
            firsts, twins = _part_twins(good.join(suspects, suspected, "left_semi"), table)
            good = good.join(suspects, suspected, "left_anti").unionByName(firsts)
            bad.append(twins)
        for reference in table.references:
            good, lacking = _part_references(good, reference, references[reference.table])
            bad.append(lacking)
        quarantined = [
            rows.select(F.lit(table.name).alias("table"), "rule", "reason", *ORIGIN) for rows in bad
        ]
        yield Checked(
            good=good.select(*table.column_names),
            bad=reduce(DataFrame.unionByName, quarantined).select(*(c.name for c in QUARANTINE_COLUMNS)),
            read=read,
            located=good.select(*table.column_names, *ORIGIN),
        )
    finally:
        suspects.unpersist()
        kept.unpersist()


def _part_twins(rows: DataFrame, table: Table) -> tuple[DataFrame, DataFrame]:
    """Of rows equal in the unique columns, the one that comes first in its source, and the others."""
    twins = Window.partitionBy(*table.unique).orderBy("source", "row", "record")
    numbered = rows.withColumns(
        {
            "twin": F.row_number().over(twins),
            "first": F.first(F.struct("source", "row")).over(twins),
        }
    )
    columns = " and ".join((", ".join(table.unique[:-1]), table.unique[-1])) if len(table.unique) > 1 else ""
    words = f"the same {columns or table.unique[0]} came before, in "
    where = F.concat(
        F.col("first.source"), F.coalesce(F.concat(F.lit(" row "), F.col("first.row")), F.lit(""))
    )
    reason = F.concat(F.lit(words), where)
    firsts = numbered.where("twin = 1").select(*rows.columns)
    others = numbered.where("twin > 1").withColumns(
        {"rule": F.lit(f"{table.name}_are_unique"), "reason": reason}
    )
    return firsts, others.select(*rows.columns)


def _part_references(
    rows: DataFrame, reference: Reference, referenced: DataFrame
) -> tuple[DataFrame, DataFrame]:
    """The rows whose reference exists, and the others."""
    target = TABLES[reference.table]
    ids = F.broadcast(referenced.select(F.col(target.key[0].name).alias("known")).distinct())
    known = F.col(reference.column) == F.col("known")
    where = "the catalogue" if target.kind == "catalogue" else target.name
    reason = F.concat(
        F.lit(f"{reference.column.removesuffix('_id')} "),
        F.col(reference.column),
        F.lit(f" is not in {where}"),
    )
    lacking = rows.join(ids, known, "left_anti").withColumns(
        {"rule": F.lit(reference.rule), "reason": reason}
    )
    return rows.join(ids, known, "left_semi"), lacking
