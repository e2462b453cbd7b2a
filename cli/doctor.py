"""`marquee doctor`: is everything here that the road needs?"""

from typing import Annotated

import typer

from cli.options import Home
from common.errors import MarqueeError


def doctor(
    fetch: Annotated[bool, typer.Option("--fetch", help="Also download Delta's jars now.")] = False,
    home: Home = None,
) -> None:
    """Check Java, jars, memory, disk, versions and servers, and say how to mend each."""
    from rich.markup import escape
    from rich.table import Table

    from app.doctor import examine, fetch_jars
    from cli.console import console, stages
    from common.settings import load_settings

    settings = load_settings(home)
    if fetch:
        fetch_jars(settings, stages())
    findings = examine(settings)
    listing = Table("", "what", "found", "how to mend it")
    for finding in findings:
        mark = "[green]✓[/]" if finding.well else "[red]✗[/]"
        remedy = "" if finding.well else escape(finding.remedy)
        listing.add_row(mark, finding.subject, escape(finding.found), remedy)
    console.print(listing)
    amiss = [finding.subject for finding in findings if not finding.well]
    if amiss:
        raise MarqueeError(f"Not well: {', '.join(amiss)}. The table says how to mend each.")
