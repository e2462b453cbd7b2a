"""The console that commands print to."""

from rich.console import Console

console = Console(highlight=False, soft_wrap=True)


def count(number: int) -> str:
    """1234567 as 1,234,567."""
    return f"{number:,}"
