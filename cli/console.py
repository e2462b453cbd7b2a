"""The console that commands print to."""

from rich.console import Console

from common.progress import Stages

console = Console(highlight=False, soft_wrap=True)


def stages() -> Stages:
    """Stages that this console shows."""
    from cli.display import Terminal

    return Stages(Terminal(console))
