"""Models trained on the lake's tables, trained again, and scored again."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.domains import declared
from app.features import require_features
from app.home import refuse_own, writing
from common.errors import MarqueeError
from common.files import refuse_to_replace
from common.progress import Stage, Stages
from common.settings import Settings
from common.words import count_of
from feature_repo.define.domain import Domain

if TYPE_CHECKING:
    from training.fit.curve import Epoch, OnEpoch
    from training.fit.repeat import Repeated
    from training.fit.train import Result
    from training.recipe import Recipe
    from training.tasks import Metrics


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How to train a model; None is the default.

    Args:
        protocol: "honest" (the default) or "paper", which leaks the future.
        split: "time" or "random" (leaky); that of the protocol by default.
        seed: of everything random (default: 0).
        config: file of settings in place of the committed ones.
        data: Parquet of labels with their features, in place of the lake's labels.
        block_rows: of `data` or of a log, how many rows memory holds at once.
        service: feature service to read; that of the model by default.
        task: what is predicted; the domain's first by default.
        truth: Parquet of the true probabilities of the labels of the domain's first task, where they are
            known; what is attainable is then told beside what was reached.
    """

    protocol: str | None = None
    split: str | None = None
    seed: int | None = None
    config: Path | None = None
    data: Path | None = None
    block_rows: int | None = None
    service: str | None = None
    task: str | None = None
    truth: Path | None = None


def recipe_for(domain: Domain, model: str, options: TrainOptions) -> "Recipe":
    """What is to be trained, refused here if it cannot be, before anything is started.

    Raises:
        MarqueeError: the model, the protocol, the split or the task is unknown, the options contradict
            each other, or a file cannot be used.
    """
    from training.data.storage import label_column
    from training.recipe import check_protocol, recipe_of, task_of

    protocol = options.protocol or "honest"
    check_protocol(protocol)
    if options.data is not None and not options.data.is_file():
        raise MarqueeError(f"There is no file {options.data}: `marquee features dataset` makes one.")
    if options.data is None and options.block_rows is not None and not domain.fields:
        raise MarqueeError("--block-rows belongs to --data or to a log: add one, or leave it out.")
    if domain.fields and (options.data is not None or options.protocol is not None):
        given = "--data" if options.data is not None else "--protocol"
        raise MarqueeError(f"{given} is of joined features, and {domain.name} is a log: leave it out.")
    if options.data is not None and options.protocol is not None:
        raise MarqueeError("--protocol says how features are joined, and those of --data are: leave it out.")
    recipe = recipe_of(
        domain,
        model,
        service=options.service,
        task=task_of(domain, options.task),
        config=configuration(model, committed_as(domain, protocol), options.config),
        protocol=protocol,
        split=options.split,
        seed=options.seed or 0,
    )
    if options.data is not None:
        label_column(options.data, domain.events, recipe.task)
    if options.truth is not None and not options.truth.exists():
        raise MarqueeError(f"There are no probabilities at {options.truth}.")
    if options.truth is not None and recipe.task != domain.tasks[0]:
        raise MarqueeError(
            f"--truth has the probabilities of {domain.tasks[0].name}, not of {recipe.task.name}: leave it"
            " out."
        )
    return recipe


def train(
    settings: Settings, domain: Domain, model: str, out: Path | None, options: TrainOptions, stages: Stages
) -> "Result":
    """Train one model on the tables in the lake; called again after it was cut off, it goes on.

    Args:
        domain: whose events are the labels.
        model: key in the zoo.
        out: folder of the artefact; by default one of the model's name in the home.

    Raises:
        MarqueeError: it cannot be trained so; see `recipe_for`.
    """
    from training.fit.artefact import check_replaceable
    from training.fit.train import check_streams

    recipe = recipe_for(domain, model, options)
    name = f"{recipe.entry.key}.{domain.name}" if domain.fields else recipe.entry.key
    folder = out or settings.home / "models" / name
    sources = {"--data": options.data, "--config": options.config, "--truth": options.truth}
    refuse_to_replace(sources, folder)
    refuse_own(settings.home, folder)
    check_replaceable(folder)
    if options.data is not None:
        check_streams(recipe)
    elif not domain.fields:
        require_features(settings, domain)
    with writing(settings.home):
        return train_stage(settings, domain, recipe, folder, options, stages)


def train_stage(
    settings: Settings,
    domain: Domain,
    recipe: "Recipe",
    folder: Path,
    options: TrainOptions,
    stages: Stages,
) -> "Result":
    """The part of `train` after the checks; the caller holds the home."""
    from feature_repo.store import open_store
    from training.data.log import prepare_log
    from training.data.prepared import prepare, prepare_file
    from training.data.storage import BLOCK
    from training.fit.train import train_on

    with stages.stage(f"train {recipe.model}") as stage:
        if domain.fields:
            stage.report("reading the log", 0, 0)
            prepared = prepare_log(settings.lake, domain, recipe, block=options.block_rows or BLOCK)
        elif options.data is None:
            stage.report("joining features to labels", 0, 0)
            prepared = prepare(open_store(settings), settings.lake, domain, recipe)
        else:
            stage.report(f"reading {options.data}", 0, 0)
            prepared = prepare_file(options.data, domain, recipe, block=options.block_rows or BLOCK)
        for note in prepared.notes:
            stages.note(note)
        result = train_on(prepared, recipe, folder, truth=options.truth, on_epoch=_epochs(stage))
        stage.outcome = _outcome(result)
    return result


def train_again(
    settings: Settings, domain: Domain, run: Path, out: Path | None, stages: Stages
) -> "Repeated":
    """Train again what made the artefact `run`: the same rows, configuration and seed.

    Args:
        domain: that it was trained in; see `domain_of`.
        out: folder of the new artefact; by default one beside the home's models.

    Raises:
        MarqueeError: `run` is no artefact, or its rows cannot be had any more.
    """
    from feature_repo.store import open_store
    from training.fit.artefact import check_replaceable, read_manifest
    from training.fit.repeat import train_like

    model = read_manifest(run).recipe.model
    folder = out or settings.home / "models" / f"{run.absolute().name}-again"
    refuse_to_replace({"--like": run}, folder)
    refuse_own(settings.home, folder)
    check_replaceable(folder)
    if not domain.fields:
        require_features(settings, domain)
    with writing(settings.home), stages.stage(f"train {model} like {run}") as stage:
        stage.report("reading the recorded versions", 0, 0)
        again = train_like(
            run,
            settings.lake,
            folder,
            domain,
            lambda versions: open_store(settings, versions),
            on_epoch=_epochs(stage),
        )
        stage.outcome = _outcome(again.result)
    return again


def evaluate(
    settings: Settings, domain: Domain, artefact: Path, stages: Stages, now: bool = False
) -> "Metrics":
    """Score a trained model again on its test rows, features joined anew.

    Args:
        domain: that it was trained in; see `domain_of`.
        now: from the newest tables, not from the versions that the training read.

    Raises:
        MarqueeError: it is no artefact, or its rows and features are not those that it was trained on; see
            `training.fit.rescore`.
    """
    from feature_repo.store import open_store
    from training.fit.artefact import read_manifest
    from training.fit.rescore import rescore

    read_manifest(artefact)
    with stages.stage("evaluate") as stage:
        metrics = rescore(
            artefact,
            settings.lake,
            domain,
            lambda versions: open_store(settings, versions),
            now=now,
        )
        stage.outcome = count_of(metrics["rows"], "test row")
    return metrics


def domain_of(artefact: Path) -> Domain:
    """The domain that a model was trained in.

    Raises:
        MarqueeError: it is no artefact, or of a domain that this version does not have.
    """
    from training.fit.artefact import read_manifest

    return declared(read_manifest(artefact).recipe.domain)


def committed_as(domain: Domain, protocol: str) -> str:
    """What the committed configurations for a domain's rows are named by, `<model>.<this>.yaml`."""
    return domain.name if domain.fields else protocol


def configuration(model: str, variant: str, file: Path | None = None) -> dict[str, Any]:
    """What a model is trained with: the file's configuration, else the committed one, else no changes.

    Args:
        variant: of the committed one; see `committed_as`.
    """
    from training.fit.configuration import committed, read_configuration

    return committed(model, variant) if file is None else read_configuration(file, model).config


def _epochs(stage: Stage) -> "OnEpoch":
    def told(point: "Epoch", of: int) -> None:
        watched, value = next(iter(point.validation.items()))
        stage.report(f"loss {point.loss:.4f}, validation {watched} {value:.4f}", point.epoch, of)

    return told


def _outcome(result: "Result") -> str:
    from training.evaluate.metrics import TITLES

    first = next(iter(result.metrics))
    outcome = f"test {TITLES[first]} {result.metrics[first]:.4f}"
    if result.attainable is not None:
        outcome += f", {result.attainable:.0%} of the attainable gain"
    epochs, batches = result.resumed
    if epochs or batches:
        within = f"step {batches} of " if batches else ""
        outcome += f"; went on after {within}epoch {epochs + bool(batches)} of a run that was cut off"
    return outcome
