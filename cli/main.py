"""`marquee`: the command line. Commands import what they need inside their bodies: `--help` is instant."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from common.errors import MarqueeError

# Before anything imports TensorFlow: its start-up notes are not for people.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Threads that wait for each other must sleep, not spin: on a shared machine boosting trees spun for minutes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

HELP = {"no_args_is_help": True, "rich_markup_mode": "rich"}
app = typer.Typer(help="Point-in-time-correct features for movie recommendation.", **HELP)  # type: ignore[arg-type]
data = typer.Typer(help="Get or make data, and look at it.", **HELP)  # type: ignore[arg-type]
pipeline = typer.Typer(help="Run the Spark jobs.", **HELP)  # type: ignore[arg-type]
features = typer.Typer(help="The feature store: plan, apply, materialize, look up, join.", **HELP)  # type: ignore[arg-type]
audit = typer.Typer(help="Prove what the features promise.", **HELP)  # type: ignore[arg-type]
app.add_typer(data, name="data")
app.add_typer(pipeline, name="pipeline")
app.add_typer(features, name="features")
app.add_typer(audit, name="audit")


class SourceName(StrEnum):
    """Where ratings come from."""

    synthetic = "synthetic"
    movielens = "movielens"


Home = Annotated[
    Path | None,
    typer.Option("--home", help="The folder that holds all state (default: MARQUEE_HOME, .marquee)."),
]
SourceOption = Annotated[SourceName, typer.Option("--source", help="Where ratings come from.")]
PathOption = Annotated[
    Path | None, typer.Option("--path", help="Folder of a MovieLens data set, in any of its layouts.")
]
PostersOption = Annotated[Path | None, typer.Option("--posters", help="Folder of <movieId>.jpg.")]
FirstMoviesOption = Annotated[
    int | None,
    typer.Option("--first-movies", min=1, help="Keep movies with an id up to this (papers: 1000)."),
]
LARGEST_SEED = 2**32 - 1  # NumPy's and scikit-learn's
SeedOption = Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Of everything random.")]
ProtocolOption = Annotated[
    str | None, typer.Option("--protocol", help="honest (the default), or paper, which leaks the future.")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="File of settings, in place of the committed ones.")
]
RunOption = Annotated[Path | None, typer.Option("--run", help="Folder of a run (default: the newest).")]


@app.command()
def run(
    source: SourceOption = SourceName.synthetic,
    path: PathOption = None,
    posters: PostersOption = None,
    first_movies: FirstMoviesOption = None,
    models: Annotated[str, typer.Option(help="Models to train, by comma.")] = "gbt,din,mmdin",
    seed: SeedOption = 0,
    home: Home = None,
) -> None:
    """Go the whole road: data, tables, validation, features, store, models, report."""
    from cli.road import RoadOptions, run_road

    run_road(RoadOptions(source.value, path, posters, first_movies, tuple(models.split(",")), seed), home)


@data.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(help="ml-latest-small, ml-latest, ml-32m, ml-1m, …")],
    home: Home = None,
) -> None:
    """Download a MovieLens archive, check it and unpack it; an interrupted download is resumed."""
    from cli.data import fetch_archive

    fetch_archive(name, home)


@data.command("synth")
def data_synth(
    ratings: Annotated[int | None, typer.Option(help="How many ratings.")] = None,
    users: Annotated[int | None, typer.Option(help="How many users.")] = None,
    movies: Annotated[int | None, typer.Option(help="How many movies.")] = None,
    seed: SeedOption = 0,
    home: Home = None,
) -> None:
    """Generate synthetic ratings, movies and posters, with each event's true like-probability on the side."""
    from cli.data import synthesise

    synthesise(ratings, users, movies, seed, home)


@data.command("describe")
def data_describe(home: Home = None) -> None:
    """Say what is in the lake: tables, rows, time span, versions."""
    from cli.data import describe

    describe(home)


@pipeline.command("ingest")
def pipeline_ingest(
    source: SourceOption = SourceName.synthetic,
    path: PathOption = None,
    posters: PostersOption = None,
    first_movies: FirstMoviesOption = None,
    seed: SeedOption = 0,
    add: Annotated[bool, typer.Option("--add", help="Keep what the lake has, and add what is new.")] = False,
    home: Home = None,
) -> None:
    """Read a source into the lake; rows that break a rule go to the quarantine."""
    from cli.pipeline import ingest_source
    from cli.road import RoadOptions

    ingest_source(RoadOptions(source.value, path, posters, first_movies, (), seed), add, home)


@pipeline.command("run")
def pipeline_run(
    jobs: Annotated[list[str] | None, typer.Argument(help="Feature tables (default: all).")] = None,
    full: Annotated[bool, typer.Option("--full", help="Compute them anew from all events.")] = False,
    home: Home = None,
) -> None:
    """Bring feature tables up to date with the lake; what is new since the last time is enough."""
    from cli.pipeline import run_jobs

    run_jobs(jobs or [], full, home)


@pipeline.command("maintain")
def pipeline_maintain(
    tables: Annotated[list[str] | None, typer.Argument(help="Tables of the lake (default: all).")] = None,
    retain_days: Annotated[
        int, typer.Option(min=0, help="Old versions stay readable for so many days at least.")
    ] = 30,
    home: Home = None,
) -> None:
    """Compact tables, cluster them by key, and remove old versions.

    Versions that a trained model in this home was made from always stay, as do rows that a job has not seen.
    """
    from cli.pipeline import maintain_lake

    maintain_lake(tables or [], retain_days, home)


@app.command()
def validate(home: Home = None) -> None:
    """Check every table of the lake; exit code 2 where one breaks a rule."""
    from cli.pipeline import validate_lake

    validate_lake(home)


@features.command("plan")
def features_plan(home: Home = None) -> None:
    """Show what `apply` would change in the registry."""
    from cli.features import plan

    plan(home)


@features.command("apply")
def features_apply(home: Home = None) -> None:
    """Publish entities, views and services to the registry."""
    from cli.features import apply

    apply(home)


@features.command("materialize")
def features_materialize(home: Home = None) -> None:
    """Bring into the online store the newest rows of the keys that changed since it last was."""
    from cli.features import materialize

    materialize(home)


@features.command("push")
def features_push(
    file: Annotated[
        Path | None, typer.Argument(help="CSV or Parquet of user_id, movie_id, rating, timestamp.")
    ] = None,
    user: Annotated[int | None, typer.Option(help="user_id")] = None,
    movie: Annotated[int | None, typer.Option(help="movie_id")] = None,
    rating: Annotated[float | None, typer.Option(help="Stars, 0.5 to 5.")] = None,
    at: Annotated[str | None, typer.Option(help="When, as ISO 8601 (default: now; UTC).")] = None,
    home: Home = None,
) -> None:
    """Take in new ratings, one or a file of them, and bring online what follows from them."""
    from cli.features import push

    push(file, user, movie, rating, at, home)


@features.command("lookup")
def features_lookup(
    user: Annotated[int | None, typer.Option(help="user_id")] = None,
    movie: Annotated[int | None, typer.Option(help="movie_id")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    home: Home = None,
) -> None:
    """Read the features of a user, a movie or both from the online store."""
    from cli.features import lookup

    lookup(user, movie, as_json, home)


@features.command("dataset")
def features_dataset(
    service: Annotated[str, typer.Option(help="Feature service, such as mmdin_v1.")],
    labels: Annotated[
        Path, typer.Option(help="Parquet with user_id, movie_id, event_timestamp; more is kept.")
    ],
    out: Annotated[Path, typer.Option(help="Parquet to write: the labels and their features.")],
    home: Home = None,
) -> None:
    """Join a service's features to labels, each as of its own instant."""
    from cli.features import dataset

    dataset(service, labels, out, home)


@audit.command("leakage")
def audit_leakage(
    sample: Annotated[int, typer.Option(min=1, help="Labels to recompute one by one.")] = 500,
    seed: SeedOption = 0,
    costs: Annotated[bool, typer.Option(help="Measure what the papers' protocol would leak, too.")] = True,
    home: Home = None,
) -> None:
    """Show that no feature holds an event of its label's instant or later; exit code 2 where one does."""
    from cli.audit import leakage

    leakage(sample, seed, costs, home)


@audit.command("consistency")
def audit_consistency(
    events: Annotated[int, typer.Option(min=1, help="How many of the last events to replay.")] = 2_000,
    instants: Annotated[int, typer.Option(min=1, help="Label instants to read online at.")] = 8,
    pairs: Annotated[int, typer.Option(min=1, help="Users and movies to read at each.")] = 200,
    late: Annotated[float, typer.Option(min=0, max=1, help="Share of events that come late.")] = 0.05,
    seed: SeedOption = 0,
    home: Home = None,
) -> None:
    """Replay past events into a scratch home, compare online with offline; exit code 2 where they differ."""
    from cli.audit import consistency

    consistency(events, instants, pairs, late, seed, home)


@app.command()
def train(
    model: Annotated[str | None, typer.Argument(help="din, mmdin, gbt, …")] = None,
    like: Annotated[
        Path | None, typer.Option("--like", help="Folder of a trained model: repeat it on the same rows.")
    ] = None,
    protocol: ProtocolOption = None,
    split: Annotated[
        str | None, typer.Option(help="time or random (leaky); that of the protocol where not given.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=LARGEST_SEED, help="Of everything random (default: 0).")
    ] = None,
    config: ConfigOption = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Parquet that features dataset made, of any size, in place of the lake's labels."
        ),
    ] = None,
    block_rows: Annotated[
        int | None, typer.Option(min=1, help="With --data: rows that memory holds at once (1,000,000).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the artefact.")] = None,
    home: Home = None,
) -> None:
    """Train one model on the tables in the lake; called again after it was cut off, it goes on."""
    from cli.models import TrainOptions, train_one

    train_one(model, like, TrainOptions(protocol, split, seed, config, data, block_rows), out, home)


@app.command()
def tune(
    model: Annotated[str, typer.Argument(help="din, mmdin, gbt, …")],
    trials: Annotated[int, typer.Option(min=1, help="In all, those of earlier calls included.")] = 50,
    study: Annotated[Path | None, typer.Option(help="SQLite file of the search.")] = None,
    protocol: ProtocolOption = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings that each trial is the mean of.")] = 1,
    config: Annotated[Path | None, typer.Option(help="File of settings that stay as they are.")] = None,
    out: Annotated[Path | None, typer.Option(help="File for what was found.")] = None,
    home: Home = None,
) -> None:
    """Search a model's configuration on the validation rows, never the test rows; it goes on where it was."""
    from cli.models import tune_one

    tune_one(model, trials, study, protocol or "honest", seeds, config, out, home)


@app.command()
def reproduce(
    paper: Annotated[str, typer.Argument(help="mmdin")],
    source: SourceOption = SourceName.synthetic,
    path: PathOption = None,
    posters: PostersOption = None,
    first_movies: FirstMoviesOption = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each row of the table.")] = 5,
    protocols: Annotated[
        str, typer.Option(help="By comma: honest, and paper, which leaks.")
    ] = "honest,paper",
    out: Annotated[Path | None, typer.Option(help="Folder of trained models, figures and report.")] = None,
    doc: Annotated[Path | None, typer.Option(help="Markdown whose part on this data is written.")] = None,
    seed: SeedOption = 0,
    home: Home = None,
) -> None:
    """A paper's whole table, with error bars, ablations and figures; what is trained is not trained again."""
    from cli.reproduce import reproduce_paper
    from cli.road import RoadOptions

    options = RoadOptions(source.value, path, posters, first_movies, (), seed)
    reproduce_paper(paper, options, seeds, protocols.split(","), out, doc, home)


@app.command()
def evaluate(
    artefact: Annotated[Path, typer.Argument(help="Folder of a trained model.")],
    home: Home = None,
) -> None:
    """Score a trained model again on its test rows, features joined anew."""
    from cli.models import evaluate_one

    evaluate_one(artefact, home)


@app.command()
def report(run_folder: RunOption = None, home: Home = None) -> None:
    """Write a run's page again, from what the run left."""
    from cli.models import rewrite_report

    rewrite_report(run_folder, home)


@app.command()
def doctor(
    fetch: Annotated[bool, typer.Option("--fetch", help="Also download Delta's jars now.")] = False,
    home: Home = None,
) -> None:
    """Check Java, jars, memory, disk, versions and servers, and say how to mend each."""
    from cli.doctor import examine

    examine(fetch, home)


def main() -> None:
    """Run the command line; a mistake that a person can mend is one sentence and exit code 2."""
    try:
        app()
    except MarqueeError as error:
        refuse(error)
    except Exception as error:
        from feature_repo.servers import unanswered

        sentence = unanswered(error)
        if sentence is None:
            raise
        refuse(sentence)


def refuse(error: MarqueeError) -> NoReturn:
    """Say it on standard error, and exit with code 2."""
    from rich.console import Console
    from rich.text import Text

    sentence = Text.assemble(("Error: ", "bold red"), str(error))
    Console(stderr=True, soft_wrap=True).print(sentence)
    sys.exit(2)


if __name__ == "__main__":
    main()
