"""A feature service as training needs it."""

from dataclasses import dataclass

from common.errors import unknown
from feature_repo.define.column import Column
from feature_repo.define.domain import Domain
from feature_repo.define.view import View


@dataclass(frozen=True, slots=True)
class Service:
    """What a model reads.

    Args:
        name: of the feature service.
        views: whose features it joins.
    """

    name: str
    views: tuple[View, ...]

    @property
    def keys(self) -> tuple[Column, ...]:
        """The keys of the views, each once."""
        return tuple(dict.fromkeys(view.by for view in self.views))


def service_of(domain: Domain, name: str) -> Service:
    """A service by its name.

    Raises:
        MarqueeError: the domain has none of that name; the sentence names the nearest, or all.
    """
    if name not in domain.services:
        raise unknown("feature service", name, domain.services)
    return Service(name, tuple(domain.services[name]))
