"""`marquee train`, `tune`, `evaluate` and `report`."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from app.home import writing
from app.settings import Settings, load_settings
from cli.console import console, count
from cli.display import Stage, Stages
from common.errors import MarqueeError

if TYPE_CHECKING:
    from training.fit.run import Result

SHOWN = {
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "log_loss": "log loss",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
}
"""The metrics that a terminal has room for, and their names for people."""


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What `marquee train` was asked for; None is the default, which `--like` does not allow to change."""

    protocol: str | None = None
    split: str | None = None
    seed: int | None = None
    config: Path | None = None
    data: Path | None = None
    block_rows: int | None = None


def train_into(
    settings: Settings,
    model: str,
    out: Path,
    stage: Stage,
    options: TrainOptions = TrainOptions(),
    likelihood: Path | None = None,
) -> dict[str, Any]:
    """Train a model into the folder `out`; what `summary.json` says of it."""
    from feature_repo.store import open_store
    from training.data.rows import BLOCK
    from training.fit.run import prepare, prepare_file, train_on
    from training.models import model as entry_of

    protocol, service = options.protocol or "honest", entry_of(model).service
    if options.data is None:
        stage.report("joining features to labels", 0, 0)
        prepared = prepare(open_store(settings.home), settings.lake, service, protocol=protocol)
    else:
        stage.report(f"reading {options.data}", 0, 0)
        prepared = prepare_file(options.data, service, block=options.block_rows or BLOCK)
    result = train_on(
        prepared,
        model,
        out,
        seed=options.seed or 0,
        config=configuration(model, protocol, options.config),
        split_by=options.split,
        likelihood=likelihood,
        on_progress=_epochs(stage),
    )
    stage.outcome = _outcome(result)
    return {
        "folder": str(out),
        "labels": {"asked": result.labels_asked, "returned": result.labels_returned},
        "rows": result.rows,
        "leaky": result.leaky,
        "metrics": dict(result.metrics),
        "best_attainable_auc": result.best_auc,
        "attainable_share": result.attainable,
    }


def configuration(model: str, protocol: str, file: Path | None = None) -> dict[str, Any]:
    """What a model is trained with: the file's configuration, else the committed one, else no changes."""
    from training.fit.tuned import committed, read_tuned

    return committed(model, protocol) if file is None else read_tuned(file, model).config


def _epochs(stage: Stage) -> Any:
    def progress(*, epoch: int, of: int, loss: float, val_auc: float) -> None:
        stage.report(f"loss {loss:.4f}, validation AUC {val_auc:.4f}", epoch, of)

    return progress


def _outcome(result: "Result") -> str:
    outcome = f"test ROC-AUC {result.metrics['roc_auc']:.4f}"
    if result.attainable is not None:
        outcome += f", {result.attainable:.0%} of the attainable gain"
    if result.resumed:
        outcome += f"; went on after epoch {result.resumed} of a run that was cut off"
    return outcome


def train_one(
    model: str | None, like: Path | None, options: TrainOptions, out: Path | None, home: Path | None
) -> None:
    """`marquee train`."""
    from training.fit.artefact import check_replaceable
    from training.models import model as entry_of

    if like is not None:
        if model is not None or options != TrainOptions():
            raise MarqueeError(
                "--like repeats a run as it was: leave out the model and every option but --out and --home."
            )
        train_again(like, out, home)
        return
    if model is None:
        raise MarqueeError("Give a model to train, such as din, or --like FOLDER of a trained one.")
    entry_of(model)
    if options.data is None and options.block_rows is not None:
        raise MarqueeError("--block-rows belongs to --data: add it, or leave it out.")
    if options.data is not None and options.protocol is not None:
        raise MarqueeError("--protocol says how features are joined, and those of --data are: leave it out.")
    configuration(model, options.protocol or "honest", options.config)
    settings = load_settings(home)
    folder = out or settings.home / "models" / model
    check_replaceable(folder)
    stages = Stages(console)
    with writing(settings.home), stages.stage(f"train {model}") as stage:
        result = train_into(settings, model, folder, stage, options)
    print_metrics({model: result["metrics"]})
    if result["leaky"]:
        console.print(
            "[yellow]The future leaks into these rows:[/] the numbers flatter the model"
            " (a random split, or the papers' features of the whole data)."
        )
    console.print(f"Artefact: {folder}", markup=False)


def train_again(run: Path, out: Path | None, home: Path | None) -> None:
    """`marquee train --like`."""
    from training.fit.again import train_like
    from training.fit.artefact import check_replaceable, read_manifest

    model = read_manifest(run).model
    settings = load_settings(home)
    folder = out or settings.home / "models" / f"{run.absolute().name}-again"
    check_replaceable(folder)
    stages = Stages(console)
    with writing(settings.home), stages.stage(f"train {model} like {run}") as stage:
        stage.report("joining features as of the recorded versions", 0, 0)
        again = train_like(run, settings.home, folder, on_progress=_epochs(stage))
        stage.outcome = _outcome(again.result)
    print_metrics({f"{run.name}": dict(again.metrics), "again": dict(again.result.metrics)})
    console.print(f"Rows: all {count(again.rows)} are identical, features included.")
    if again.same_metrics:
        console.print("Metrics: identical, to the last bit.")
    else:
        why = ", ".join(again.changed) or "another machine or number of processors would explain it"
        console.print(f"[yellow]Metrics differ:[/] {why}.")
    console.print(f"Artefact: {folder}", markup=False)


def tune_one(
    model: str,
    trials: int,
    study: Path | None,
    protocol: str,
    seeds: int,
    config: Path | None,
    out: Path | None,
    home: Path | None,
) -> None:
    """`marquee tune`."""
    from feature_repo.store import open_store
    from training.fit.run import check_protocol, prepare
    from training.fit.tune import tune
    from training.fit.tuned import Tuned, read_tuned, write_tuned
    from training.models import model as entry_of

    entry = entry_of(model)
    check_protocol(protocol)
    fixed = {} if config is None else read_tuned(config, model).config
    settings = load_settings(home)
    file = out or settings.home / "tuned" / f"{model}.{protocol}.yaml"
    stages = Stages(console)
    with writing(settings.home), stages.stage(f"tune {model}") as stage:
        stage.report("joining features to labels", 0, 0)
        prepared = prepare(open_store(settings.home), settings.lake, entry.service, protocol=protocol)

        def told(number: int, of: int, best: float) -> None:
            left = stage.seconds / max(number, 1) * (of - number)
            stage.report(f"best validation AUC {best:.4f}, at most {left / 60:.0f} min left", number, of)

        found = tune(
            prepared,
            model,
            study or settings.home / "tuned" / "studies.db",
            trials=trials,
            seeds=seeds,
            config=fixed,
            on_trial=told,
        )
        stage.outcome = (
            f"validation ROC-AUC {found.validation_auc:.4f}, best of {found.trials} trials"
            f" ({found.pruned} more given up early)"
        )
    versions = ", ".join(f"{name} {version}" for name, version in sorted(prepared.versions.items()))
    write_tuned(
        Tuned(
            model=model,
            config=found.config,
            command=command_line(),
            protocol=protocol,
            data=f"{count(prepared.asked)} labels; versions of tables: {versions}",
            validation_auc=found.validation_auc,
            trials=found.trials,
            pruned=found.pruned,
        ),
        file,
    )
    console.print(f"Configuration: {file}; marquee train {model} --config {file} uses it.", markup=False)


def command_line() -> str:
    """The command as it was typed."""
    return shlex.join(["marquee", *sys.argv[1:]])


def evaluate_one(artefact: Path, home: Path | None) -> None:
    """`marquee evaluate`."""
    from feature_repo.store import open_store
    from training.fit.run import evaluate

    settings = load_settings(home)
    stages = Stages(console)
    with stages.stage("evaluate") as stage:
        metrics = evaluate(artefact, open_store(settings.home, must_exist=True), settings.lake)
        stage.outcome = f"{count(metrics['rows'])} test rows"
    print_metrics({artefact.name: dict(metrics)})


def print_metrics(models: dict[str, dict[str, Any]]) -> None:
    """One row a model."""
    rows = next(iter(models.values()))["rows"]
    listing = Table("model", *SHOWN.values(), title=f"On the {count(rows)} test rows", title_justify="left")
    for model, metrics in models.items():
        listing.add_row(model, *(f"{metrics[name]:.4f}" for name in SHOWN))
    console.print(listing)


def rewrite_report(run: Path | None, home: Path | None) -> None:
    """`marquee report`."""
    from cli import summary
    from cli.report import PAGE, write_report

    settings = load_settings(home)
    folder = run or summary.newest_run(settings.runs)
    stages = Stages(console)
    with stages.stage("report") as stage:
        write_report(settings, summary.read(folder), folder)
        stage.outcome = str(folder / PAGE)
