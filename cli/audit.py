"""`marquee audit`: proofs that features hold no future, and that what is served is what was trained on."""

from typing import Annotated

import typer

from cli.options import DOMAIN, GROUP, Home, Seed

app = typer.Typer(name="audit", help="Prove what the features promise.", **GROUP)


@app.command()
def leakage(
    sample: Annotated[int, typer.Option(min=1, help="Labels to recompute one by one.")] = 500,
    seed: Seed = 0,
    costs: Annotated[bool, typer.Option(help="Measure what the papers' protocol would leak, too.")] = True,
    home: Home = None,
) -> None:
    """Show that no feature holds an event of its label's instant or later; exit code 2 where one does."""
    from rich.table import Table

    from app.audit import audit_leakage
    from cli.console import console, stages
    from common.settings import load_settings
    from validation.audit.leakage_report import render_table
    from validation.audit.verdict import require_passed

    report, page = audit_leakage(load_settings(home), DOMAIN, sample, seed, costs, stages())
    console.print(render_table(report))
    if report.costs:
        listing = Table(title="What the papers' protocol would leak (ROC-AUC)", title_justify="left")
        for heading in ("features of", "honest", "whole data: leaks", "difference: leaks"):
            listing.add_column(heading, justify="left" if heading == "features of" else "right")
        for cost in report.costs:
            listing.add_row(cost.view, f"{cost.honest:.4f}", f"{cost.leaking:.4f}", f"{cost.gain:+.4f}")
        console.print(listing)
    require_passed(report, page)
    console.print(f"No feature holds an event of its label's instant or later. Page: {page}", markup=False)


@app.command()
def consistency(
    events: Annotated[int, typer.Option(min=1, help="How many of the last events to replay.")] = 2_000,
    instants: Annotated[int, typer.Option(min=1, help="Label instants to read online at.")] = 8,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of keys to read at each.")] = 200,
    late: Annotated[float, typer.Option(min=0, max=1, help="Share of events that come late.")] = 0.05,
    seed: Seed = 0,
    home: Home = None,
) -> None:
    """Replay past events into a scratch home, compare online with offline; exit code 2 where they differ."""
    from app.audit import audit_consistency
    from cli.console import console, stages
    from common.settings import load_settings
    from validation.audit.consistency_report import render_table
    from validation.audit.verdict import require_passed

    report, page = audit_consistency(
        load_settings(home), DOMAIN, events, instants, pairs, late, seed, stages()
    )
    console.print(render_table(report))
    require_passed(report, page)
    console.print(f"What is served is what was trained on. Page: {page}", markup=False)
