"""Models trained on the lake's tables, trained again, and scored again."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.home import writing
from common.errors import MarqueeError, unknown
from common.progress import Stage, Stages
from common.settings import Settings
from common.words import count

if TYPE_CHECKING:
    from training.evaluate.metrics import Metrics
    from training.fit.again import Again
    from training.fit.run import Result


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How to train a model; None is the default.

    Args:
        protocol: "honest" (the default) or "paper", which leaks the future.
        split: "time" or "random" (leaky); that of the protocol by default.
        seed: of everything random (default: 0).
        config: file of settings in place of the committed ones.
        data: Parquet of labels with their features, in place of the lake's labels.
        block_rows: of `data`, how many rows memory holds at once.
    """

    protocol: str | None = None
    split: str | None = None
    seed: int | None = None
    config: Path | None = None
    data: Path | None = None
    block_rows: int | None = None


def check_training(model: str, options: TrainOptions) -> None:
    """Refuse what cannot be trained before anything is started.

    Raises:
        MarqueeError: the model, the protocol or the split is unknown, the options contradict each other, or
            a file cannot be used.
    """
    from training.data.splits import LEAKY
    from training.fit.run import check_protocol
    from training.models import model as entry_of

    entry_of(model)
    check_protocol(options.protocol or "honest")
    if options.split is not None and options.split not in LEAKY:
        raise unknown("split", options.split, LEAKY)
    if options.data is not None and not options.data.is_file():
        raise MarqueeError(f"There is no file {options.data}: `marquee features dataset` makes one.")
    if options.data is None and options.block_rows is not None:
        raise MarqueeError("--block-rows belongs to --data: add it, or leave it out.")
    if options.data is not None and options.protocol is not None:
        raise MarqueeError("--protocol says how features are joined, and those of --data are: leave it out.")
    configuration(model, options.protocol or "honest", options.config)


def train(
    settings: Settings, model: str, out: Path | None, options: TrainOptions, stages: Stages
) -> "Result":
    """Train one model on the tables in the lake; called again after it was cut off, it goes on.

    Args:
        model: key in the zoo.
        out: folder of the artefact; by default one of the model's name in the home.

    Raises:
        MarqueeError: it cannot be trained so; see `check_training`.
    """
    from training.fit.artefact import check_replaceable

    check_training(model, options)
    folder = out or settings.home / "models" / model
    check_replaceable(folder)
    with writing(settings.home):
        return train_stage(settings, model, folder, options, stages)


def train_stage(
    settings: Settings,
    model: str,
    folder: Path,
    options: TrainOptions,
    stages: Stages,
    likelihood: Path | None = None,
) -> "Result":
    """The part of `train` after the checks; the caller holds the home.

    Args:
        likelihood: Parquet of the events' true probabilities, where they are known.
    """
    from feature_repo.store import open_store
    from training.data.rows import BLOCK
    from training.fit.run import prepare, prepare_file, train_on
    from training.models import model as entry_of

    protocol, service = options.protocol or "honest", entry_of(model).service
    with stages.stage(f"train {model}") as stage:
        if options.data is None:
            stage.report("joining features to labels", 0, 0)
            prepared = prepare(open_store(settings), settings.lake, service, protocol=protocol)
        else:
            stage.report(f"reading {options.data}", 0, 0)
            prepared = prepare_file(options.data, service, block=options.block_rows or BLOCK)
        result = train_on(
            prepared,
            model,
            folder,
            seed=options.seed or 0,
            config=configuration(model, protocol, options.config),
            split_by=options.split,
            likelihood=likelihood,
            on_progress=_epochs(stage),
        )
        stage.outcome = _outcome(result)
    return result


def train_again(settings: Settings, run: Path, out: Path | None, stages: Stages) -> "Again":
    """Train again what made the artefact `run`: the same rows, configuration and seed.

    Args:
        out: folder of the new artefact; by default one beside the home's models.

    Raises:
        MarqueeError: `run` is no artefact, or its rows cannot be had any more.
    """
    from training.fit.again import train_like
    from training.fit.artefact import check_replaceable, read_manifest

    model = read_manifest(run).model
    folder = out or settings.home / "models" / f"{run.absolute().name}-again"
    check_replaceable(folder)
    with writing(settings.home), stages.stage(f"train {model} like {run}") as stage:
        stage.report("joining features as of the recorded versions", 0, 0)
        again = train_like(run, settings, folder, on_progress=_epochs(stage))
        stage.outcome = _outcome(again.result)
    return again


def evaluate(settings: Settings, artefact: Path, stages: Stages) -> "Metrics":
    """Score a trained model again on its test rows, features joined anew.

    Raises:
        MarqueeError: it is no artefact, or its features have another shape than the lake's.
    """
    from feature_repo.store import open_store
    from training.fit.artefact import read_manifest
    from training.fit.run import evaluate

    read_manifest(artefact)
    with stages.stage("evaluate") as stage:
        metrics = evaluate(artefact, open_store(settings, must_exist=True), settings.lake)
        stage.outcome = f"{count(metrics['rows'])} test rows"
    return metrics


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
