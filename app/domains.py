"""The domains that commands know, by the names that people type."""

from common.errors import unknown
from feature_repo.define.domain import Domain
from feature_repo.domains.clicks import LOGS
from feature_repo.domains.movies import DOMAIN as MOVIES

DOMAINS: dict[str, Domain] = {"movies": MOVIES, **LOGS}
"""The first is what commands are about unless another is named."""


def domain_named(name: str | None) -> Domain:
    """A domain by its name; the first where None.

    Raises:
        MarqueeError: there is none.
    """
    if name is None:
        return next(iter(DOMAINS.values()))
    if name not in DOMAINS:
        raise unknown("domain", name, DOMAINS)
    return DOMAINS[name]


def declared(name: str) -> Domain:
    """The domain that declares itself by a name, as artefacts record it.

    Raises:
        MarqueeError: there is none.
    """
    by_name = {domain.name: domain for domain in DOMAINS.values()}
    if name not in by_name:
        raise unknown("domain", name, by_name)
    return by_name[name]
