"""What a declaration that cannot be used is refused with."""

from common.errors import MarqueeError


class DeclarationError(MarqueeError, ValueError):
    """A declaration contradicts itself or another one; its sentence says where, and what contradicts what."""


def refused(where: str, why: str) -> DeclarationError:
    """What to raise for a declaration.

    Args:
        where: the table, view, service, task or domain.
        why: what is wrong with it, as a clause.
    """
    return DeclarationError(f"Declaration of {where}: {why}.")
