"""`marquee train`, `evaluate` and `report`."""

from pathlib import Path
from typing import Any

from rich.table import Table

from cli.console import console, count
from cli.display import Stage, Stages
from cli.home import writing
from cli.settings import Settings, load_settings

SHOWN = {
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "log_loss": "log loss",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
}
"""The metrics that a terminal has room for, and their names for people."""


def train_into(
    settings: Settings,
    model: str,
    seed: int,
    out: Path,
    stage: Stage,
    split_by: str = "time",
    likelihood: Path | None = None,
) -> dict[str, Any]:
    """Train a model into the folder `out`; what `summary.json` says of it."""
    from feature_repo.store import open_store
    from training.run import train

    def progress(*, epoch: int, of: int, loss: float, val_auc: float) -> None:
        stage.report(f"loss {loss:.4f}, validation AUC {val_auc:.4f}", epoch, of)

    stage.report("joining features to labels", 0, 0)
    result = train(
        open_store(settings.home),
        settings.lake,
        model,
        out,
        seed=seed,
        split_by=split_by,
        likelihood=likelihood,
        on_progress=progress,
    )
    stage.outcome = f"test ROC-AUC {result.metrics['roc_auc']:.4f}"
    if result.attainable is not None:
        stage.outcome += f", {result.attainable:.0%} of the attainable gain"
    return {
        "folder": str(out),
        "labels": {"asked": result.labels_asked, "returned": result.labels_returned},
        "rows": result.rows,
        "leaky": result.leaky,
        "metrics": dict(result.metrics),
        "best_attainable_auc": result.best_auc,
        "attainable_share": result.attainable,
    }


def train_one(model: str, split_by: str, seed: int, out: Path | None, home: Path | None) -> None:
    """`marquee train`."""
    from training.models import model as entry_of

    entry_of(model)
    settings = load_settings(home)
    folder = out or settings.home / "models" / model
    stages = Stages(console)
    with writing(settings.home), stages.stage(f"train {model}") as stage:
        result = train_into(settings, model, seed, folder, stage, split_by)
    print_metrics({model: result["metrics"]})
    if result["leaky"]:
        console.print("[yellow]A random split leaks the future:[/] these numbers flatter the model.")
    console.print(f"Artefact: {folder}", markup=False)


def evaluate_one(artefact: Path, home: Path | None) -> None:
    """`marquee evaluate`."""
    from feature_repo.store import open_store
    from training.run import evaluate

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
