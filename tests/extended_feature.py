"""Checks the feature that `docs/extending.md` adds; runs in sources to which it was added."""

from feature_repo.domains.movies import DOMAIN
from feature_repo.publish import feast_objects
from tests.toy_features import toy_spec, toy_table

FEATURE, VIEW, SERVICE = "user_like_count", "user_recent_likes", "din_v1"


def main() -> None:
    assert FEATURE in [column.name for column in DOMAIN.view(VIEW).columns]
    fields = {field.name for view in feast_objects(DOMAIN, "marquee").views.values() for field in view.schema}
    assert FEATURE in fields
    spec = toy_spec(toy_table(service=SERVICE), SERVICE)
    (numbers,) = (each for each in spec.inputs if each.name == "user_behaviour_numeric")
    assert FEATURE in [column.column for column in numbers.columns]


if __name__ == "__main__":
    main()
