"""`marquee data`: get or make data, and look at it."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from app.home import writing
from app.settings import Settings, load_settings
from cli.console import console, count
from cli.display import Stage, Stages

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from pipelines.sources.synthetic import SyntheticConfig


def start_spark(settings: Settings) -> "SparkSession":
    """Spark as the settings say, its own words kept in a log; call it while holding the home for writing."""
    from pipelines.session import spark_session

    # What a killed command left there, such as a copy of the jars, is nobody's.
    shutil.rmtree(settings.home / "scratch", ignore_errors=True)
    return spark_session(
        settings.spark_master,
        settings.spark_memory,
        settings.spark_shuffle_partitions,
        settings.home / "scratch",
        settings.spark_log,
    )


def fetch_archive(name: str, home: Path | None) -> None:
    """`marquee data fetch`."""
    from pipelines.sources.download import NO_POSTERS, fetch

    settings = load_settings(home)
    stages = Stages(console)
    with writing(settings.home), stages.stage(f"fetch {name}") as stage:
        folder = fetch(
            name,
            settings.sources,
            base_url=settings.download_base_url,
            on_progress=lambda done, total: stage.report(f"{done / 1e6:,.1f} MB", done, total or 0),
            on_note=console.print,
        )
        stage.outcome = str(folder)
    console.print(NO_POSTERS)
    console.print(f"Next: marquee run --source movielens --path {folder}", markup=False)


def synthetic_folder(settings: Settings, config: "SyntheticConfig") -> Path:
    """Where the data of this configuration are kept."""
    size = f"{config.ratings}-{config.users}-{config.movies}"
    return settings.sources / f"synthetic-{size}-seed{config.seed}"


def synthesise(
    ratings: int | None, users: int | None, movies: int | None, seed: int, home: Path | None
) -> None:
    """`marquee data synth`."""
    from pipelines.sources.synthetic import SyntheticConfig

    settings = load_settings(home)
    asked = {"ratings": ratings, "users": users, "movies": movies, "seed": seed}
    config = SyntheticConfig(**{name: value for name, value in asked.items() if value is not None})
    stages = Stages(console)
    with writing(settings.home):
        with stages.stage("start Spark") as stage:
            spark = start_spark(settings)
            stage.outcome = f"master {settings.spark_master}"
        with stages.stage("generate") as stage:
            generate_once(spark, settings, config, stage)


def generate_once(spark: "SparkSession", settings: Settings, config: "SyntheticConfig", stage: Stage) -> Path:
    """Generate synthetic data unless the same were generated before."""
    from pipelines.sources.synthetic import generate

    folder = synthetic_folder(settings, config)
    generate(spark, config, folder, on_progress=lambda done, total, word: stage.report(word, done, total))
    stage.outcome = (
        f"{count(config.ratings)} ratings by {count(config.users)} users of {count(config.movies)} movies, "
        f"seed {config.seed}, in {folder}"
    )
    return folder


def describe(home: Path | None) -> None:
    """`marquee data describe`."""
    from feature_repo.schema import QUARANTINE, TABLES

    settings = load_settings(home)
    listing = Table(title=escape(f"Lake in {settings.lake}"), title_justify="left")
    for heading in ("table", "rows", "from", "to", "version", "size"):
        listing.add_column(heading, justify="left" if heading == "table" else "right", overflow="fold")
    for name in (*TABLES, QUARANTINE):
        listing.add_row(name, *describe_table(settings.lake / name))
    console.print(listing)


def describe_table(folder: Path) -> tuple[str, ...]:
    """Rows, first and last instant, Delta version and size of one table, as text."""
    import duckdb
    from deltalake import DeltaTable

    from feature_repo.schema import EVENT_TIMESTAMP

    if not DeltaTable.is_deltatable(str(folder)):
        return ("–", "", "", "", "")
    table = DeltaTable(folder)
    rows = table.to_pyarrow_dataset()
    size = sum((folder / file).stat().st_size for file in table.files())
    first = last = ""
    if EVENT_TIMESTAMP in rows.schema.names:
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.register("rows", rows)
            bounds = connection.execute(
                f"SELECT min({EVENT_TIMESTAMP})::VARCHAR, max({EVENT_TIMESTAMP})::VARCHAR FROM rows"
            ).fetchone()
        first, last = (str(bound or "")[:19] for bound in bounds or ("", ""))
    return (count(rows.count_rows()), first, last, str(table.version()), f"{size / 1e6:.1f} MB")
