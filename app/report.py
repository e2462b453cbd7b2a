"""The page of one run: what data, what was refused, which tables, how the models did, what it cost."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app import summary as summaries
from app.facts import EventFacts, event_facts, identified, refusals, user_key
from app.summary import Summary
from common.files import write_atomically
from common.progress import Stages
from common.settings import Settings
from feature_repo.define.domain import Domain
from feature_repo.define.table import QUARANTINE
from feature_repo.define.task import Task, rule_of
from lake.tables import require_versions

if TYPE_CHECKING:
    from training.evaluate.picture import Picture

PAGE = "report.html"
STAGE = "report"
"""What writes the page, which tells of all other stages: a page that is written again is the same."""
SAMPLE = 20_000
"""Labels at which the features are shown."""
TEMPLATES = Path(__file__).parent / "templates"


def rewrite_report(settings: Settings, domain: Domain, run: Path | None, stages: Stages) -> Path:
    """Write a run's page again, from what the run left; the page.

    Args:
        run: its folder; None for the newest.

    Raises:
        MarqueeError: there is no such run, or it did not end.
    """
    folder = run or summaries.newest_run(settings.runs)
    with stages.stage(STAGE) as stage:
        write_report(settings, domain, summaries.read(folder), folder)
        stage.outcome = str(folder / PAGE)
    return folder / PAGE


def write_report(settings: Settings, domain: Domain, summary: Summary, folder: Path) -> None:
    """Write `report.html` into the run's folder, from the summary, the artefacts and the run's tables.

    Raises:
        MarqueeError: the tables cannot be read any more as they were for the run.
    """
    from common.page import render
    from training.fit.artefact import read_manifest

    require_versions(settings.lake, summary.versions, folder.name, summary.commits)
    versions, memory, task = summary.versions, settings.duckdb_memory, domain.tasks[0]
    facts = event_facts(settings.lake, domain, memory, versions[domain.events.name])
    values: dict[str, Any] = {
        "summary": replace(summary, stages=[cost for cost in summary.stages if cost.name != STAGE]),
        "events": domain.events.name,
        "facts": facts,
        "user": identified(user_key(domain)),
        "label": task.name,
        "rule": rule_of(task),
        "left_out": summary.tables[domain.events.name].left_out,
        "quarantine": refusals(settings.lake, domain, memory, versions[QUARANTINE]),
        "descriptions": {name: table.description for name, table in domain.tables.items()},
        "titles": {
            name: read_manifest(folder / "models" / name).recipe.entry.title for name in summary.models
        },
        "data_figures": data_figures(domain, facts),
        "feature_figures": feature_figures(settings, domain, versions),
        "model_figures": model_figures(folder, task, list(summary.models)),
    }
    write_atomically(folder / PAGE, render(TEMPLATES, "report.html", **values))


def data_figures(domain: Domain, facts: EventFacts) -> "list[Picture]":
    """Events by value of what is predicted, and by year."""
    from training.evaluate.figures import bars

    name, value = domain.events.name.capitalize(), domain.events.column(domain.tasks[0].of)
    unit = value.unit or value.name
    pictures = []
    if facts.values:
        bins = [f"{bin:g}" for bin in facts.values]
        pictures.append(bars(bins, list(facts.values.values()), unit, f"{name} by {unit}."))
    years = [str(year) for year in facts.by_year]
    return [*pictures, bars(years, list(facts.by_year.values()), "year", f"{name} by year.")]


def feature_figures(settings: Settings, domain: Domain, versions: Mapping[str, int]) -> "list[Picture]":
    """The numbers of each view, as they stand at a sample of the labels; of the service with most views.

    Args:
        versions: of the tables that are read, by table.
    """
    import numpy as np

    from feature_repo.store import open_store
    from training.data.dataset import point_in_time
    from training.data.labels import read_labels
    from training.evaluate.figures import histograms

    labels = read_labels(settings.lake, domain, version=versions[domain.events.name]).table
    sample = np.random.default_rng(0).permutation(labels.num_rows)[:SAMPLE]
    service, views = max(domain.services.items(), key=lambda named: len(named[1]))
    store = open_store(settings, {view.name: versions[view.name] for view in views})
    rows = point_in_time(store, domain, service, labels.take(sample))
    pictures = []
    for view in views:
        numbers = {
            column.name: rows[column.name].to_pandas().to_numpy(dtype=float)
            for column in view.columns
            if column.type.is_number and column.name in rows.column_names
        }
        if numbers:
            pictures.append(histograms(numbers, f"{view.name}: {view.description}"))
    return pictures


def model_figures(folder: Path, task: Task, models: list[str]) -> "list[Picture]":
    """Curves over the test rows, and how training went.

    Args:
        folder: of the run.
        models: keys in the zoo; the run has an artefact of each.

    Raises:
        MarqueeError: an artefact is not as it was saved.
    """
    from training.evaluate.figures import training_curves
    from training.fit import artefact
    from training.tasks import Scored, objective_of

    if not models:
        return []
    objective = objective_of(task)
    scores, curves = {}, {}
    for model in models:
        artefact_folder = folder / "models" / model
        manifest = artefact.read_manifest(artefact_folder)
        artefact.check_files(artefact_folder, manifest)
        rows = artefact.read_predictions(artefact_folder)
        title = manifest.recipe.entry.title
        scores[title] = Scored(objective.targets(rows), rows[artefact.SCORE].to_numpy())
        curve = artefact.read_history(artefact_folder)
        if curve.epochs:
            curves[title] = curve
    pictures = objective.figures(scores)
    return [*pictures, training_curves(curves, objective.loss)] if curves else pictures
