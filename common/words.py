"""Numbers as people read them."""


def count(number: int) -> str:
    """1234567 as 1,234,567."""
    return f"{number:,}"


def count_of(number: int, noun: str) -> str:
    """1 and "row" as "1 row", 1234 as "1,234 rows"."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"
