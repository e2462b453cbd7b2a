"""A domain: everything that general code needs to know of what the data are about."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from feature_repo.define.check import check_fields, check_table, check_view, check_vocabularies
from feature_repo.define.column import EVENT_TIMESTAMP, Column
from feature_repo.define.fields import Fields
from feature_repo.define.mistake import refused
from feature_repo.define.table import QUARANTINE, Table
from feature_repo.define.task import Task
from feature_repo.define.view import View


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
        tasks: what can be predicted from the events, one at least; the first is the default.
        fields: of a log, what models read of its rows. A log has no views and no services.

    Raises:
        DeclarationError: the declarations contradict each other.
    """

    name: str
    description: str
    sources: tuple[Table, ...]
    views: tuple[View, ...] = ()
    services: Mapping[str, tuple[View, ...]] = field(default_factory=dict)
    tasks: tuple[Task, ...] = ()
    fields: tuple[Fields, ...] = ()

    def __post_init__(self) -> None:
        names = [QUARANTINE, *(table.name for table in self.sources), *(view.name for view in self.views)]
        if len({name.lower() for name in names}) != len(names):
            raise refused(self.name, "two tables have one name")
        for table in self.sources:
            check_table(table)
            for reference in table.references:
                if reference.table not in names:
                    raise refused(table.name, f"there is no table {reference.table} to refer to")
        _check_events(self)
        _check_fields(self)
        for view in self.views:
            check_view(view)
            if not set(view.over.tables) <= set(self.sources):
                raise refused(view.name, f"it is computed from tables that {self.name} does not have")
            _check_beside_labels(self, view)
        check_vocabularies([*self.keys, *(column for view in self.views for column in view.columns)])
        for service, views in self.services.items():
            if not all(any(_is_part(one, whole) for whole in self.views) for one in views):
                raise refused(service, f"it joins views that {self.name} does not have")
            features = [column.name.lower() for view in views for column in view.columns]
            if len(set(features)) != len(features):
                raise refused(service, "two of its features have one name")

    @cached_property
    def tables(self) -> dict[str, Table]:
        """Every table of the lake but the quarantine, by name: sources first."""
        return {table.name: table for table in (*self.sources, *(view.table for view in self.views))}

    @property
    def events(self) -> Table:
        """The table of events, or the log.

        Raises:
            DeclarationError: there is not just one.
        """
        found = [table for table in self.sources if table.kind in ("event", "log")]
        if len(found) != 1:
            raise refused(self.name, f"it has {len(found)} tables of events, not one")
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


def _check_events(domain: Domain) -> None:
    """What general code relies on: events tell who acts, and there is something to predict of them."""
    events = domain.events
    if events.kind == "event" and not any(column.side == "user" for column in events.key):
        raise refused(events.name, "none of its keys has the side user, so nothing says who acts")
    if not domain.tasks:
        raise refused(domain.name, "it has no task, so there is nothing to predict")
    for task in domain.tasks:
        if task.of not in events.column_names:
            raise refused(task.name, f"{events.name} has no column {task.of}")
        if not events.column(task.of).type.is_number:
            raise refused(
                task.name, f"{task.of} is {events.column(task.of).type.value}, so it gives no label"
            )


def _check_fields(domain: Domain) -> None:
    """A log is read by its fields, which are columns of it; events are read through views."""
    log = domain.events
    if log.kind != "log":
        if domain.fields:
            raise refused(domain.name, f"it has fields, but {log.name} is no log")
        return
    if domain.views or domain.services:
        raise refused(domain.name, f"{log.name} is a log, which has fields in place of views and services")
    columns = [column for part in domain.fields for column in part.columns]
    if not columns:
        raise refused(domain.name, f"it has no fields, so nothing of {log.name} can be read")
    check_fields(log.name, domain.fields)
    for column in columns:
        if column not in log.columns:
            raise refused(log.name, f"it has no such column {column.name}")
        if column.name in [task.of for task in domain.tasks]:
            raise refused(log.name, f"{column.name} is what is predicted, so no model may read it")


def _check_beside_labels(domain: Domain, view: View) -> None:
    """Features are joined to labels: to the keys and the instant of events, and to what is made of them."""
    events, tasks = domain.events, domain.tasks
    labels = [*(key.name for key in events.key), EVENT_TIMESTAMP]
    labels += [name for task in tasks for name in (task.of, task.name)]
    for column in view.columns:
        if column.name.lower() in [name.lower() for name in labels]:
            raise refused(view.name, f"no feature may be called {column.name}, which labels have already")
