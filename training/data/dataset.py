"""Point-in-time data sets: labels in, labels with features out."""

import difflib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from feast import FeatureService, FeatureStore

from common.errors import MarqueeError
from common.files import cannot_write
from feature_repo.define.domain import Domain
from feature_repo.offline.tables import dataset, file_source
from lake.parquet import check_names, opened
from training.data.columns import readable_labels
from training.data.service import Service


def point_in_time(store: FeatureStore, domain: Domain, service: str, labels: pa.Table) -> pa.Table:
    """Join a service's features to labels, each as known at the label's instant.

    Args:
        store: an applied store.
        domain: that the service belongs to.
        service: name of a feature service.
        labels: n rows with the service's keys and `event_timestamp` (naive ones are UTC), in any Arrow type
            that plainly holds them; further columns are kept.

    Returns:
        n rows in the labels' order: their columns, keys in the domain's types and instants as timestamps,
        then the features, null where nothing was known. Of a table that the store reads at a recorded
        version, only the features that it had then.

    Raises:
        MarqueeError: the service is unknown, or joins a view that needs rows and has none; a column is
            missing, of a wrong type, or lacks a timestamp.
    """
    chosen = find_service(store, domain, service)
    _require_rows(store, domain, service)
    # What is applied may be newer than what is declared here: then every key of the domain must be there.
    keys = Service(service, domain.services.get(service, domain.views)).keys
    labels = readable_labels(labels, keys)
    return store.get_historical_features(labels, features_then(store, chosen)).to_arrow()


def _require_rows(store: FeatureStore, domain: Domain, service: str) -> None:
    """Refuse a service that joins a view which needs rows and has none.

    Raises:
        MarqueeError: naming both, and saying what to do.
    """
    for view in domain.services.get(service, ()):
        if view.needs_rows:
            source = store.get_feature_view(view.name).batch_source
            if not dataset(store.config, source).count_rows():
                raise MarqueeError(f"{service} joins {view.name}, which has no rows, as {view.needs_rows}.")


def features_then(store: FeatureStore, service: FeatureService) -> FeatureService | list[str]:
    """What of a service can be joined: all, or where a recorded version of a table lacks a feature that was
    declared later, the references of the others."""
    recorded = store.config.offline_store.versions
    if not recorded:
        return service
    found, lacking = [], False
    for part in service.feature_view_projections:
        names = [feature.name for feature in part.features]
        source = file_source(store.get_feature_view(part.name).batch_source)
        if source.path in recorded:
            held = dataset(store.config, source).schema.names
            lacking = lacking or not set(names) <= set(held)
            names = [name for name in names if name in held]
        found += [f"{part.name}:{name}" for name in names]
    return found if lacking else service


def dataset_file(store: FeatureStore, domain: Domain, service: str, labels: Path, out: Path) -> int:
    """`point_in_time` from Parquet to Parquet; `out` appears whole or not at all.

    Returns:
        The number of rows.

    Raises:
        MarqueeError: also if a file cannot be read or written.
    """
    if not labels.is_file():
        raise MarqueeError(f"There is no label file at {labels}.")
    with opened(labels) as parquet:
        table = parquet.read()
    check_names(labels, table.column_names)
    result = point_in_time(store, domain, service, table)
    temporary = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(result, temporary)
        temporary.replace(out)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise cannot_write(out, error) from error
    return int(result.num_rows)


def find_service(store: FeatureStore, domain: Domain, name: str) -> FeatureService:
    """A feature service by name.

    Raises:
        MarqueeError: it is unknown, naming the nearest; or nothing is applied yet.
    """
    services = {service.name: service for service in store.list_feature_services()}
    if name in services:
        return services[name]
    if not services and name in domain.services:
        raise MarqueeError("The registry has no services yet: run marquee features apply first.")
    if name in domain.services:
        raise MarqueeError(
            f"The registry has no {name} yet: run `marquee pipeline run`, then `marquee features apply`."
        )
    known = sorted(services) or sorted(domain.services)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the services are {', '.join(known)}."
    raise MarqueeError(f"There is no feature service {name}: {hint}")
