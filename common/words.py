"""Numbers as people read them."""


def count(number: int) -> str:
    """1234567 as 1,234,567."""
    return f"{number:,}"
