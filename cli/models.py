"""`marquee train`, `tune` and `evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import (
    LARGEST_SEED,
    PATH,
    Config,
    DomainName,
    Home,
    Protocol,
    Task,
    command_line,
)
from common.errors import MarqueeError

if TYPE_CHECKING:
    from training.fit.repeat import Repeated
    from training.fit.train import Result

SHOWN = ("roc_auc", "pr_auc", "log_loss", "f1", "precision", "recall", "rmse", "mae")
"""The metrics that a terminal has room for, where a task has them."""


def train(
    model: Annotated[str | None, typer.Argument(help="din, mmdin, gbt, …")] = None,
    like: Annotated[
        Path | None,
        typer.Option("--like", help="Folder of a trained model: repeat it on the same rows.", **PATH),
    ] = None,
    protocol: Protocol = None,
    split: Annotated[
        str | None, typer.Option(help="time or random (leaky); that of the protocol where not given.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=LARGEST_SEED, help="Of everything random (default: 0).")
    ] = None,
    config: Config = None,
    service: Annotated[
        str | None, typer.Option(help="Feature service to read; that of the model where not given.")
    ] = None,
    task: Task = None,
    domain: DomainName = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Parquet that features dataset made, of any size, in place of the lake's labels.",
            **PATH,
        ),
    ] = None,
    block_rows: Annotated[
        int | None,
        typer.Option(min=1, help="With --data or of a log: rows that memory holds at once (1,000,000)."),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(help="Parquet of true probabilities, such as generated data have beside them.", **PATH),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the artefact.", **PATH)] = None,
    home: Home = None,
) -> None:
    """Train one model on the tables in the lake; called again after it was cut off, it goes on."""
    from app import train as training
    from app.domains import domain_named
    from cli.console import console, stages
    from common.settings import load_settings

    options = training.TrainOptions(protocol, split, seed, config, data, block_rows, service, task, truth)
    if like is not None:
        if model is not None or domain is not None or options != training.TrainOptions():
            raise MarqueeError(
                "--like repeats a run as it was: leave out the model and every option but --out and --home."
            )
        _print_again(
            like.name,
            training.train_again(load_settings(home), training.domain_of(like), like, out, stages()),
        )
        return
    if model is None:
        raise MarqueeError("Give a model to train, such as din, or --like FOLDER of a trained one.")
    result = training.train(load_settings(home), domain_named(domain), model, out, options, stages())
    print_metrics({model: dict(result.metrics)})
    _print_label(result)
    if result.recipe.is_leaky:
        console.print(
            "[yellow]The future leaks into these rows:[/] the numbers flatter the model"
            " (a random split, or the papers' features of the whole data)."
        )
    if result.unread:
        columns = ", ".join(result.unread)
        console.print(f"Not read, as the configuration's inputs are: {columns}", markup=False)
    console.print(f"Artefact: {result.folder}", markup=False)


def tune(
    model: Annotated[str, typer.Argument(help="din, mmdin, gbt, …")],
    trials: Annotated[int, typer.Option(min=1, help="In all, those of earlier calls included.")] = 50,
    study: Annotated[Path | None, typer.Option(help="SQLite file of the search.", **PATH)] = None,
    protocol: Protocol = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings that each trial is the mean of.")] = 1,
    config: Annotated[
        Path | None, typer.Option(help="File of settings that stay as they are.", **PATH)
    ] = None,
    task: Task = None,
    domain: DomainName = None,
    block_rows: Annotated[
        int | None, typer.Option(min=1, help="Of a log: rows that memory can hold (1,000,000).")
    ] = None,
    paper: Annotated[
        str | None,
        typer.Option(
            help="For a row of a paper's table, such as iarm: by its service, label, split and shares;"
            " --protocol then names one of its protocols, such as in_time (its first where not given)."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File for what was found.", **PATH)] = None,
    home: Home = None,
) -> None:
    """Search a model's configuration on the validation rows, never the test rows; it goes on where it was."""
    from app import tune as tuning
    from app.domains import domain_named
    from cli.console import console, stages
    from common.settings import load_settings

    options = tuning.TuneOptions(protocol, trials, seeds, study, config, task, out, paper, block_rows)
    rows = domain_named(domain)
    file = tuning.tune(load_settings(home), rows, model, options, command_line(), stages())
    used = f"marquee train {model}{f' --domain {domain}' if domain else ''} --config {file}"
    console.print(f"Configuration: {file}; {used} uses it.", markup=False)


def evaluate(
    artefact: Annotated[Path, typer.Argument(help="Folder of a trained model.", **PATH)],
    now: Annotated[
        bool,
        typer.Option("--now", help="With the features of today's tables, not of those trained on."),
    ] = False,
    home: Home = None,
) -> None:
    """Score a trained model again on its test rows, features joined anew as they were for the training."""
    from app import train as training
    from cli.console import stages
    from common.settings import load_settings

    metrics = training.evaluate(load_settings(home), training.domain_of(artefact), artefact, stages(), now)
    print_metrics({artefact.name: dict(metrics)}, ", with the features of today" if now else "")


def _print_label(result: "Result") -> None:
    """What was predicted, and how often it was true in each part."""
    from cli.console import console
    from feature_repo.define.task import rule_of

    task, rates = result.recipe.task, result.positive_rates
    shares = ", ".join(
        f"{rates[part]:.1%} of the {name} rows"
        for part, name in (("train", "training"), ("valid", "validation"), ("test", "test"))
        if part in rates
    )
    console.print(
        f"Label: {task.name}, {rule_of(task)}{f'; true of {shares}' if shares else ''}.", markup=False
    )


def _print_again(name: str, again: "Repeated") -> None:
    """A repeated training beside the first one."""
    from cli.console import console
    from common.words import count

    print_metrics({name: dict(again.metrics), "again": dict(again.result.metrics)})
    _print_label(again.result)
    console.print(f"Rows: all {count(again.rows)} are identical, features included.")
    if again.same_metrics:
        console.print("Metrics: identical, to the last bit.")
    else:
        why = ", ".join(again.changed) or "another machine or number of processors would explain it"
        console.print(f"[yellow]Metrics differ:[/] {why}.")
    console.print(f"Artefact: {again.result.folder}", markup=False)


def print_metrics(models: dict[str, dict[str, Any]], how: str = "") -> None:
    """One row a model.

    Args:
        how: the rows were scored, for the title.
    """
    from rich.table import Table

    from cli.console import console
    from common.words import count_of
    from training.evaluate.metrics import TITLES

    first = next(iter(models.values()))
    shown = [name for name in SHOWN if name in first]
    title = f"On the {count_of(first['rows'], 'test row')}{how}"
    listing = Table("model", *(TITLES[name] for name in shown), title=title, title_justify="left")
    for model, metrics in models.items():
        listing.add_row(model, *(f"{metrics[name]:.4f}" for name in shown))
    console.print(listing)
