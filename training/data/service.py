"""A feature service as training needs it."""

from dataclasses import dataclass

from common.errors import unknown
from feature_repo.define.column import Column
from feature_repo.define.domain import Domain
from feature_repo.define.fields import Block


@dataclass(frozen=True, slots=True)
class Service:
    """What a model reads.

    Args:
        name: of the feature service, or of a log.
        views: whose features it joins; of a log, its fields.
    """

    name: str
    views: tuple[Block, ...]

    @property
    def keys(self) -> tuple[Column, ...]:
        """The keys of the views, each once; a log has none."""
        return tuple(dict.fromkeys(key for view in self.views for key in view.keys))


def service_of(domain: Domain, name: str) -> Service:
    """A service by its name, or a log by its.

    Raises:
        MarqueeError: the domain has none of that name; the sentence names the nearest, or all.
    """
    known: dict[str, tuple[Block, ...]] = dict(domain.services)
    if domain.fields:
        known[domain.events.name] = domain.fields
    if name not in known:
        raise unknown("feature service", name, known)
    return Service(name, tuple(known[name]))
