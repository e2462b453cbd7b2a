"""Labels with the features of a service, ready to train any of its models on."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from common.errors import MarqueeError
from feature_repo.define import role
from feature_repo.define.column import EVENT_TIMESTAMP, Type
from feature_repo.define.domain import Domain
from feature_repo.define.task import Task
from lake.parquet import opened
from training.data.columns import is_number
from training.data.fingerprint import fingerprint, fingerprint_of
from training.data.labels import read_labels
from training.data.service import Service, service_of
from training.data.splits import Split
from training.data.storage import BLOCK, READ, read_label_columns
from training.inputs.columns import without_meaning
from training.recipe import Recipe

if TYPE_CHECKING:
    from feast import FeatureStore


@dataclass(frozen=True, slots=True)
class Prepared:
    """Labelled rows with features.

    Args:
        table: the labels and the features, unless these are streamed.
        domain: whose events the labels are.
        service: whose features.
        task: that made the labels.
        protocol: that the features were joined by.
        versions: Delta version of each table read.
        asked: label rows that went into the join.
        files: Parquet that the features are streamed from, with the rows of `table` in order; none where that
            has them.
        block: rows of the files that memory holds at once.
        notes: what to tell people of the rows.
    """

    table: pa.Table
    domain: Domain
    service: Service
    task: Task
    protocol: str
    versions: Mapping[str, int]
    asked: int
    files: tuple[Path, ...] = ()
    block: int = BLOCK
    notes: tuple[str, ...] = ()

    def cut(self, recipe: Recipe) -> Split:
        """The parts of the rows, as a recipe cuts them.

        Raises:
            MarqueeError: as `training.data.splits.split`.
        """
        return recipe.cut(self.table, self.domain.events.in_time)

    def fingerprint(self) -> str:
        """One digest of all rows."""
        return fingerprint_of(self.files) if self.files else fingerprint(self.table)

    def check_recipe(self, recipe: Recipe) -> None:
        """Refuse a recipe that these rows were not made for.

        Raises:
            MarqueeError: another domain, service, task or protocol.
        """
        if recipe.service != self.service.name:
            raise MarqueeError(
                f"{recipe.model} reads {recipe.service}, but the features are those of {self.service.name}."
            )
        made_for = {"domain": self.domain.name, "task": self.task, "protocol": self.protocol}
        for name, value in made_for.items():
            if getattr(recipe, name) != value:
                raise MarqueeError(
                    f"The recipe's {name} is {getattr(recipe, name)}, but the rows were made for {value}."
                )


def prepare(
    store: "FeatureStore",
    lake: Path,
    domain: Domain,
    recipe: Recipe,
    *,
    versions: Mapping[str, int] | None = None,
) -> Prepared:
    """Read the labels and join the features that a recipe asks for.

    Args:
        store: an applied feature store over the lake.
        lake: the folder of the Delta tables.
        domain: the recipe's.
        recipe: whose service, task and protocol count.
        versions: Delta versions to record as read, by table, where `store` was opened with them; the events
            are read at their own. None: the newest.

    Raises:
        MarqueeError: no labels, an unknown service, one that was applied before some of its columns were
            declared, or labels that the join lost.
    """
    from feature_repo.store import table_versions

    events = domain.events.name
    service = service_of(domain, recipe.service)
    labels = read_labels(lake, domain, recipe.task, version=(versions or {}).get(events))
    table = joined(store, domain, service.name, labels.table, recipe.protocol)
    check_features(table, service, recorded=bool(versions))
    return Prepared(
        table=table,
        domain=domain,
        service=service,
        task=recipe.task,
        protocol=recipe.protocol,
        versions={
            **table_versions(store, [view.name for view in service.views]),
            events: labels.version,
        },
        asked=labels.table.num_rows,
    )


def check_features(table: pa.Table, service: Service, recorded: bool) -> None:
    """Refuse joined rows without a column that the service declares: what they come from is older.

    Args:
        recorded: whether the tables were read at recorded versions.

    Raises:
        MarqueeError: names the columns, and says what to run.
    """
    names = _lacking(table.column_names, service)
    if not names:
        return
    if recorded:
        raise MarqueeError(f"The recorded versions of the tables of {service.name} have no {names} yet.")
    raise MarqueeError(
        f"The registry has {service.name} without {names}: run `marquee pipeline run`, then"
        " `marquee features apply`."
    )


def _lacking(held: Collection[str], service: Service) -> str:
    """The columns of a service that are not among these, the first few by name; "" where all are."""
    missing = [column.name for view in service.views for column in view.columns if column.name not in held]
    return f"{', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}"


def prepare_file(file: Path, domain: Domain, recipe: Recipe, *, block: int = BLOCK) -> Prepared:
    """Take a data set that was joined before, of any size: its features stay in the file.

    Args:
        file: Parquet, as `marquee features dataset` makes it from rows with the task's label or its value.
        domain: the recipe's.
        recipe: whose service and task count.
        block: rows that memory holds, and that are shuffled, at once.

    Raises:
        MarqueeError: the file cannot be read, lacks a column, or has no rows.
    """
    table = read_label_columns(file, domain.events, recipe.task)
    service = service_of(domain, recipe.service)
    check_joined(file, service)
    return Prepared(
        table=table,
        domain=domain,
        service=service,
        task=recipe.task,
        protocol=recipe.protocol,
        versions={},
        asked=table.num_rows,
        files=(file,),
        block=block,
        notes=tuple(numbers_without_meaning(file, service)),
    )


def check_joined(file: Path, service: Service) -> None:
    """Refuse a file that lacks a column of a service: other features were joined to its labels.

    Raises:
        MarqueeError: names the columns, and says what to run.
    """
    with opened(file) as parquet:
        names = _lacking(parquet.schema_arrow.names, service)
    if names:
        raise MarqueeError(
            f"{file} lacks {names}, which {service.name} has: join them by `marquee features dataset"
            f" --service {service.name}`."
        )


def numbers_without_meaning(file: Path, service: Service) -> Iterator[str]:
    """A sentence for each number or count of a service that some rows of a file have in vain: where it is
    infinite or beyond float32, or a count is negative, models take it for missing.

    Raises:
        MarqueeError: the file cannot be read.
    """
    asked = {
        column.name: isinstance(column.role, role.Count)
        for view in service.views
        for column in view.columns
        if isinstance(column.role, role.Count | role.Number)
    }
    found: dict[str, tuple[int, int]] = {}  # how many, and the first
    start = 0
    with opened(file) as parquet:
        kinds = parquet.schema_arrow
        names = [name for name in asked if name in kinds.names and is_number(kinds.field(name).type)]
        for batch in parquet.iter_batches(READ, columns=names):
            for name in names:
                places = without_meaning(batch.column(name), asked[name])
                if len(places):
                    number, first = found.get(name, (0, start + int(places[0])))
                    found[name] = (number + len(places), first)
            start += batch.num_rows
    for name, (number, first) in found.items():
        why = "infinite, beyond float32, or negative" if asked[name] else "infinite, or beyond float32"
        rows = f"{number:,} rows, first in row {first + 1}," if number > 1 else f"row {first + 1}"
        yield f"{name} in {rows} of {file} is {why}: it counts as missing"


def joined(store: "FeatureStore", domain: Domain, service: str, labels: pa.Table, protocol: str) -> pa.Table:
    """Labels with features: the same rows in the same order, or an error.

    Under the paper's protocol every label sees the newest feature rows, those after it and its own included.

    Raises:
        MarqueeError: the join lost rows or their order.
    """
    from training.data.dataset import point_in_time

    asked = labels
    if protocol == "paper":
        end = pa.scalar(datetime(2200, 1, 1, tzinfo=UTC), pa.timestamp("us", "UTC"))
        place = labels.column_names.index(EVENT_TIMESTAMP)
        asked = labels.set_column(place, EVENT_TIMESTAMP, pa.repeat(end, labels.num_rows))
    table = point_in_time(store, domain, service, asked)
    if protocol == "paper" and table.num_rows == labels.num_rows:
        place = table.column_names.index(EVENT_TIMESTAMP)
        table = table.set_column(place, EVENT_TIMESTAMP, labels[EVENT_TIMESTAMP])
    types = {key.name: pa.string() if key.type is Type.STRING else pa.int64() for key in domain.events.key}
    types[EVENT_TIMESTAMP] = pa.int64()
    same = table.num_rows == labels.num_rows and all(
        pc.all(pc.equal(table[name].cast(kind), labels[name].cast(kind))).as_py()
        for name, kind in types.items()
    )
    if not same:
        raise MarqueeError(
            f"{labels.num_rows} labels went into the join of {service} and {table.num_rows} rows came out, "
            "or in another order: the offline store is at fault."
        )
    return table
