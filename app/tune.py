"""A model's configuration, searched on the validation rows."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.features import require_features
from app.home import refuse_own, writing
from app.train import committed_as
from common.errors import MarqueeError, causes
from common.files import file_to_write, refuse_to_replace
from common.progress import Stages
from common.settings import Settings
from common.words import count, count_of
from feature_repo.define.domain import Domain

if TYPE_CHECKING:
    from training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """How to search.

    Args:
        protocol: "honest" (the default), or "paper", which leaks the future; with `paper` one of its own, by
            default its first.
        trials: in all, those of earlier calls included.
        seeds: trainings that each trial is the mean of.
        study: SQLite file of the search; by default one in the home.
        config: file of settings that stay as they are.
        task: what is predicted; the domain's first by default.
        out: file for what was found; by default one in the home.
        paper: whose service, label, split, shares and settings are searched under, for a row of its table.
        block_rows: of a log, how many rows memory can hold; None for as many as a training holds at once.
    """

    protocol: str | None = None
    trials: int = 50
    seeds: int = 1
    study: Path | None = None
    config: Path | None = None
    task: str | None = None
    out: Path | None = None
    paper: str | None = None
    block_rows: int | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched under.

    Args:
        recipe: whose rows, split and model count.
        fixed: settings that stay as they are.
        protocol: its name, in the paper where there is one.
        name: of the file of what is found.
    """

    recipe: "Recipe"
    fixed: Mapping[str, Any]
    protocol: str
    name: str


def search_for(domain: Domain, model: str, options: TuneOptions) -> Search:
    """What to search under, refused here if it cannot be.

    Raises:
        MarqueeError: the model, the paper, the protocol or the task is unknown, a file cannot be used, a
            task is given beside a paper, which has its own, or an option is not for these rows.
    """
    from training.config import merged
    from training.fit.configuration import read_configuration
    from training.papers import find_paper
    from training.recipe import recipe_of, task_of

    fixed = {} if options.config is None else read_configuration(options.config, model).config
    if options.block_rows is not None and not domain.fields:
        raise MarqueeError("--block-rows belongs to a log: name one by --domain, or leave it out.")
    if domain.fields and options.paper is None and options.protocol is not None:
        raise MarqueeError(f"--protocol is of joined features, and {domain.name} is a log: leave it out.")
    if options.paper is None:
        protocol, task = options.protocol or "honest", task_of(domain, options.task)
        recipe = recipe_of(domain, model, task=task, protocol=protocol)
        by_task = "" if options.task is None else f".{task.name}"
        variant = committed_as(domain, protocol)
        return Search(recipe, fixed, protocol, f"{recipe.entry.key}{by_task}.{variant}.yaml")
    if options.task is not None:
        raise MarqueeError("--task says what is predicted, and so does a protocol of --paper: leave it out.")
    paper = find_paper(options.paper, domain if domain.fields else None)
    protocol = next(iter(paper.protocols)) if options.protocol is None else options.protocol
    paper.check_protocol(protocol)
    if paper.domain.name != domain.name:
        raise MarqueeError(f"{paper.key} is on {paper.domain.name}, not on {domain.name}: leave --paper out.")
    recipe = paper.recipe(model, protocol, {})
    return Search(
        recipe=recipe,
        fixed=merged(fixed, paper.config),
        protocol=protocol,
        name=f"{recipe.entry.key}.{paper.configured_as(protocol)}.yaml",
    )


def tune(
    settings: Settings, domain: Domain, model: str, options: TuneOptions, command: str, stages: Stages
) -> Path:
    """Search a model's configuration, never on the test rows; called again, it goes on where it was.

    Args:
        domain: whose events are the labels.
        model: key in the zoo.
        command: as it was typed, which the file records.

    Returns:
        The file of what was found.

    Raises:
        MarqueeError: as `search_for`, or a file cannot be used.
    """
    from feature_repo.store import open_store
    from training.data.log import prepare_log
    from training.data.prepared import prepare
    from training.data.storage import BLOCK
    from training.evaluate.metrics import TITLES
    from training.fit.configuration import ConfigurationFile, write_configuration
    from training.fit.tune import tune

    search = search_for(domain, model, options)
    recipe = search.recipe
    file = file_to_write(options.out or settings.home / "tuned" / search.name)
    study = file_to_write(options.study or settings.home / "tuned" / "studies.db")
    refuse_to_replace({"--config": options.config, "--study": study}, file)
    refuse_own(settings.home, file)
    refuse_own(settings.home, study, "--study")
    check_study(study)
    if not domain.fields:
        require_features(settings, domain)
    with writing(settings.home), stages.stage(f"tune {model}") as stage:
        if domain.fields:
            stage.report("reading the log", 0, 0)
            block = options.block_rows or BLOCK
            prepared = prepare_log(settings.lake, domain, recipe, block=block)
            if prepared.files:
                raise MarqueeError(
                    f"{domain.events.name} has {count_of(prepared.asked, 'row')}, and a search holds all of"
                    f" them in memory, at most {count(block)}: raise --block-rows, or ingest fewer."
                )
        else:
            stage.report("joining features to labels", 0, 0)
            prepared = prepare(open_store(settings), settings.lake, domain, recipe)

        def told(number: int, of: int, best: float) -> None:
            stage.report(*trial_line(number, of, best))

        with _kept_in(study):
            found = tune(
                prepared,
                recipe,
                study,
                trials=options.trials,
                seeds=options.seeds,
                fixed=search.fixed,
                on_trial=told,
            )
        stage.outcome = (
            f"validation {TITLES[found.metric]} {found.value:.4f}, best of {found.trials} trials"
            f" ({found.pruned} more given up early)"
        )
    versions = ", ".join(f"{name} {version}" for name, version in sorted(prepared.versions.items()))
    write_configuration(
        ConfigurationFile(
            model=model,
            config=found.config,
            command=command,
            paper=options.paper or "",
            protocol=search.protocol,
            task=recipe.task.name,
            data=f"{count_of(prepared.asked, 'label')}; versions of tables: {versions}",
            metric=found.metric,
            validation=found.value,
            trials=found.trials,
            pruned=found.pruned,
        ),
        file,
    )
    return file


def trial_line(number: int, of: int, best: float) -> tuple[str, int, int]:
    """What is reported after a trial. After the last, the best are trained again, which is not counted."""
    word = f"best validation value {best:.4f}"
    return (word, number, of) if number < of else (f"{word}, all {of} trials done, choosing", 0, 0)


@contextmanager
def _kept_in(study: Path) -> Iterator[None]:
    """Let what SQLite refuses meanwhile be said of the study.

    Raises:
        MarqueeError: naming the file.
    """
    try:
        yield
    except Exception as error:
        why = next((cause for cause in causes(error) if isinstance(cause, sqlite3.Error)), None)
        if why is None:
            raise
        raise MarqueeError(f"The study {study} cannot be used: {why}. Name another file.") from error


def check_study(file: Path) -> None:
    """Refuse a file of studies that is there and is no database of SQLite.

    Raises:
        MarqueeError: naming the file.
    """
    if not file.exists():
        return
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        raise MarqueeError(f"The study {file} cannot be used: {error}. Name another file.") from error
