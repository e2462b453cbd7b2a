"""The domains that commands know, by the names that people type."""

from common.errors import unknown
from feature_repo.define.domain import Domain
from feature_repo.domains.clicks import LOGS
from feature_repo.domains.movies import DOMAIN as MOVIES

DOMAINS: dict[str, Domain] = {"movies": MOVIES, **LOGS}
"""The first is what commands are about unless another is named."""


def domain_named(name: str) -> Domain:
    """A domain by its name.

    Raises:
        MarqueeError: there is none.
    """
    if name not in DOMAINS:
        raise unknown("domain", name, DOMAINS)
    return DOMAINS[name]
