"""Avazu's click-through rate challenge (Kaggle 2014): ten days of advertisements on mobile devices."""

from feature_repo.define.column import Column, Type
from feature_repo.define.domain import Domain
from feature_repo.define.fields import Fields, categories
from feature_repo.define.role import Category, Unread
from feature_repo.define.table import Table
from feature_repo.domains.clicks.columns import CLICK, CLICKED, POSITION

HOUR = Column("hour", Type.TIMESTAMP, "The hour in which it was shown.")
ID = Column("id", Type.STRING, "Of the row, in the published file.", role=Unread())


def _part(name: str, description: str, low: int, high: int) -> Column:
    """A part of the hour, as a category."""
    return Column(name, Type.INT64, description, low=low, high=high, role=Category(name))


TIME = Fields(
    "time",
    (
        _part("hour_of_day", "0 to 23.", 0, 23),
        _part("weekday", "Monday is 0.", 0, 6),
        _part("weekend", "1 on Saturday and Sunday.", 0, 1),
    ),
)
PLACE = Fields(
    "where it was shown",
    categories(
        ("site_id", "site_domain", "site_category", "app_id", "app_domain", "app_category"), Type.STRING
    )
    + categories(("c1", "banner_pos"), Type.INT64),
)
DEVICE = Fields(
    "who saw it",
    categories(("device_id", "device_ip", "device_model"), Type.STRING)
    + categories(("device_type", "device_conn_type"), Type.INT64),
    side="user",
)
ADVERTISEMENT = Fields(
    "what was shown", categories((f"c{place}" for place in range(14, 22)), Type.INT64), side="item"
)

AVAZU = Domain(
    name="avazu",
    description="Advertisements shown on mobile devices, and which were clicked.",
    sources=(
        Table(
            name="clicks_avazu",
            kind="log",
            key=(POSITION,),
            columns=(
                CLICK,
                ID,
                HOUR,
                *(column for part in (TIME, PLACE, DEVICE, ADVERTISEMENT) for column in part.columns),
            ),
            description="Advertisements shown on mobile devices, and which were clicked.",
            unique=(POSITION.name,),
            order=HOUR.name,
        ),
    ),
    fields=(TIME, PLACE, DEVICE, ADVERTISEMENT),
    tasks=(CLICKED,),
)
