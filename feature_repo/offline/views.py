"""What a retrieval asks for: Feast's views and references in terms of their sources' columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa
from feast.feature_view import FeatureView
from feast.infra.offline_stores.file_source import FileSource
from feast.repo_config import RepoConfig

from common.errors import MarqueeError
from feature_repo.feast_internals import DUMMY_KEY, DUMMY_KEY_VALUE, asked_name
from feature_repo.offline.tables import file_source, require_columns

FEW_LABELS = 20
"""With this many rows per label or more, a view's rows are first reduced to the labels' keys: that costs a
look-up per row and saves sorting the others."""


@dataclass(frozen=True, slots=True)
class RetrievedView:
    """One view of a retrieval, in terms of its source's columns.

    Args:
        name: the view, or its alias.
        source: where its rows are.
        keys: pairs (column of the labels, column of the source).
        timestamp: the source's column of the instant from which a row is known.
        created: that of when the row was written, if there is one.
        ttl: for how long a row holds; None for ever.
        features: pairs (column of the source, name in the result).
    """

    name: str
    source: FileSource
    keys: tuple[tuple[str, str], ...]
    timestamp: str
    created: str | None
    ttl: timedelta | None
    features: tuple[tuple[str, str], ...]

    @property
    def source_columns(self) -> list[str]:
        """All columns that the join reads, each once."""
        times = [self.timestamp, *([self.created] if self.created else [])]
        return list(
            dict.fromkeys([key for _, key in self.keys] + times + [name for name, _ in self.features])
        )

    @property
    def outputs(self) -> list[str]:
        """The names of its features in the result."""
        return [output for _, output in self.features]


def requested_views(
    feature_views: Sequence[FeatureView], feature_refs: Sequence[str], full_feature_names: bool
) -> list[RetrievedView]:
    """What is asked of each view, in the order of `feature_views` and then of `feature_refs`.

    References of on-demand views are left to Feast.
    """
    views = []
    for feature_view in feature_views:
        name = asked_name(feature_view.projection)
        wanted = [ref.split(":", 1)[1] for ref in feature_refs if ref.split(":", 1)[0] == name]
        source = file_source(feature_view.batch_source)
        stored = {new: old for old, new in (source.field_mapping or {}).items()}
        prefix = f"{feature_view.projection.name_alias or feature_view.name}__" if full_feature_names else ""
        views.append(
            RetrievedView(
                name=name,
                source=source,
                keys=tuple(
                    (
                        feature_view.projection.join_key_map.get(column.name, column.name),
                        stored.get(column.name, column.name),
                    )
                    for column in feature_view.entity_columns
                    if column.name != DUMMY_KEY
                ),
                timestamp=stored.get(source.timestamp_field, source.timestamp_field),
                created=stored.get(source.created_timestamp_column, source.created_timestamp_column) or None,
                ttl=feature_view.ttl or None,
                features=tuple((stored.get(feature, feature), prefix + feature) for feature in wanted),
            )
        )
    return views


def check_columns(config: RepoConfig, view: RetrievedView, schema: pa.Schema) -> None:
    """Every column that the join reads is in the source.

    Raises:
        MarqueeError: naming the view and the columns that it lacks.
    """
    require_columns(config, view.name, view.source.path, schema, view.source_columns)


def check_outputs(label_columns: Sequence[str], views: Sequence[RetrievedView]) -> None:
    """No two columns of the result have one name.

    Raises:
        MarqueeError: naming the columns.
    """
    taken = set(label_columns)
    for view in views:
        clash = sorted(taken.intersection(view.outputs))
        if clash:
            raise MarqueeError(
                f"The labels and view {view.name} both have {', '.join(clash)}: rename the labels' columns,"
                " or ask Feast for full_feature_names."
            )
        taken.update(view.outputs)


def pulled_columns(keys: list[str], features: list[str], timestamp: str, created: str | None) -> list[str]:
    """The columns of a pull, each once, in the order in which Feast wants them."""
    return list(dict.fromkeys([*keys, *features, timestamp, *([created] if created else [])]))


def with_dummy_key(table: pa.Table, keys: list[str]) -> pa.Table:
    """A view without entities has one row, under the key that Feast gives it."""
    if keys:
        return table
    return table.append_column(DUMMY_KEY, pa.repeat(pa.scalar(DUMMY_KEY_VALUE), table.num_rows))
