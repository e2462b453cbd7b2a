"""What the registry has: views and services by their names."""

from collections.abc import Sequence

from feast import FeatureStore, FeatureView

from common.errors import MarqueeError, unknown

NOTHING = "The registry has no views yet: run marquee features apply first."


def applied_views(store: FeatureStore, names: Sequence[str] | None = None) -> list[FeatureView]:
    """The views of these names; all, in order of their names, where None.

    Raises:
        MarqueeError: nothing is applied yet, or a view is unknown.
    """
    views = {view.name: view for view in store.list_feature_views()}
    if not views:
        raise MarqueeError(NOTHING)
    missing = [name for name in names or () if name not in views]
    if missing:
        raise MarqueeError(
            f"There is no view {', '.join(missing)}; the views are {', '.join(sorted(views))}."
        )
    return [views[name] for name in (names if names is not None else sorted(views))]


def service_views(store: FeatureStore, service: str | None) -> list[tuple[FeatureView, list[str]]]:
    """The views of a service and the features that it reads of each, in its order; all where None.

    Raises:
        MarqueeError: nothing is applied yet, or the service is unknown.
    """
    if service is None:
        return [(view, [feature.name for feature in view.features]) for view in applied_views(store)]
    services = {found.name: found for found in store.list_feature_services()}
    if service not in services:
        applied_views(store)  # which says so where nothing is applied
        raise unknown("service", service, services)
    parts = services[service].feature_view_projections
    views = applied_views(store, [part.name for part in parts])
    return [
        (view, [feature.name for feature in part.features]) for view, part in zip(views, parts, strict=True)
    ]
