"""A domain: everything that general code needs to know of what the data are about."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from feature_repo.define.column import Column
from feature_repo.define.table import Table
from feature_repo.define.task import Task
from feature_repo.define.view import View, check_view, check_vocabularies


@dataclass(frozen=True)
class Domain:
    """Tables, views, services and tasks that belong together.

    Args:
        name: a word, for people; that of the domain which is published is Feast's project.
        description: what it is about, for people.
        sources: the tables that come from outside: events and catalogues.
        views: the feature tables.
        services: what each model reads: the views whose features a service joins, whole or `without` some,
            by the service's name. A published service does not change: a new one gets a new number.
        tasks: what can be predicted from the events; the first is the default.

    Raises:
        ValueError: the declarations contradict each other.
    """

    name: str
    description: str
    sources: tuple[Table, ...]
    views: tuple[View, ...] = ()
    services: Mapping[str, tuple[View, ...]] = field(default_factory=dict)
    tasks: tuple[Task, ...] = ()

    def __post_init__(self) -> None:
        names = [table.name for table in self.sources] + [view.name for view in self.views]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name}: two tables have one name")
        for table in self.sources:
            for reference in table.references:
                if reference.table not in names:
                    raise ValueError(f"{table.name}: there is no table {reference.table} to refer to")
        for view in self.views:
            check_view(view)
            if not set(view.over.tables) <= set(self.sources):
                raise ValueError(f"{view.name}: it is computed from tables that {self.name} does not have")
        check_vocabularies([*self.keys, *(column for view in self.views for column in view.columns)])
        for service, views in self.services.items():
            if not all(any(_is_part(one, whole) for whole in self.views) for one in views):
                raise ValueError(f"{service}: it joins views that {self.name} does not have")
            features = [column.name for view in views for column in view.columns]
            if len(set(features)) != len(features):
                raise ValueError(f"{service}: two of its features have one name")
        for task in self.tasks:
            if task.of not in self.events.column_names:
                raise ValueError(f"{task.name}: {self.events.name} has no column {task.of}")

    @cached_property
    def tables(self) -> dict[str, Table]:
        """Every table of the lake but the quarantine, by name: sources first."""
        return {table.name: table for table in (*self.sources, *(view.table for view in self.views))}

    @property
    def events(self) -> Table:
        """The table of events.

        Raises:
            ValueError: there is not just one.
        """
        (*found,) = (table for table in self.sources if table.kind == "event")
        if len(found) != 1:
            raise ValueError(f"{self.name} has {len(found)} tables of events, not one")
        return found[0]

    @cached_property
    def keys(self) -> tuple[Column, ...]:
        """The keys of all views, each once."""
        return tuple(dict.fromkeys(view.by for view in self.views))

    def view(self, name: str) -> View:
        """A view by its name.

        Raises:
            KeyError: there is none.
        """
        for view in self.views:
            if view.name == name:
                return view
        raise KeyError(f"{self.name} has no view {name}")

    def views_over(self, table: str) -> tuple[View, ...]:
        """The views that are computed from a source table."""
        return tuple(view for view in self.views if any(read.name == table for read in view.over.tables))


def _is_part(view: View, whole: View) -> bool:
    """Whether a view is another, or that without some of its features."""
    return set(view.features) <= set(whole.features) and replace(view, features=whole.features) == whole
