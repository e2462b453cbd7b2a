"""The views that the registry has."""

from collections.abc import Sequence

from feast import FeatureStore, FeatureView

from common.errors import MarqueeError


def applied_views(store: FeatureStore, names: Sequence[str] | None = None) -> list[FeatureView]:
    """The views of these names; all, in order of their names, where None.

    Raises:
        MarqueeError: nothing is applied yet, or a view is unknown.
    """
    views = {view.name: view for view in store.list_feature_views()}
    if not views:
        raise MarqueeError("The registry has no views yet: run marquee features apply first.")
    unknown = [name for name in names or () if name not in views]
    if unknown:
        raise MarqueeError(
            f"There is no view {', '.join(unknown)}; the views are {', '.join(sorted(views))}."
        )
    return [views[name] for name in (names if names is not None else sorted(views))]
