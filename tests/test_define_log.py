"""Domains of logs: what they may declare."""

from dataclasses import replace

import pytest

from feature_repo.define.column import Column, Type
from feature_repo.define.domain import Domain
from feature_repo.define.fields import MISSING, Fields, categories, numbers
from feature_repo.define.mistake import DeclarationError
from feature_repo.define.role import Number
from feature_repo.define.table import Table
from feature_repo.define.task import Binary
from feature_repo.domains.clicks import LOGS

PLACE = Column("place", Type.INT64, "The row's place.", low=1)
CLICK = Column("click", Type.INT64, "Clicked.", low=0, high=1)
WHAT = Fields("what", (*numbers(["n"]), *categories(["c"])), side="item")
LOG = Table("log", "log", (PLACE,), (CLICK, *WHAT.columns), "A log.", ("place",))


def domain(log: Table = LOG, fields: tuple[Fields, ...] = (WHAT,), of: str = "click") -> Domain:
    return Domain("clicks", "A log.", sources=(log,), fields=fields, tasks=(Binary("clicked", of, 1),))


def test_a_log_is_its_domains_events_and_is_ordered_by_its_key_unless_another_column_is_named() -> None:
    assert domain().events == LOG
    assert LOG.in_time == "place"
    assert replace(LOG, order="n").in_time == "n"


def test_a_missing_category_is_a_value_and_a_missing_number_is_none() -> None:
    number, category = WHAT.columns
    assert (number.fill, category.fill) == (None, MISSING)


def test_the_published_logs_have_as_many_fields_as_their_files() -> None:
    sizes = {name: sum(len(part.columns) for part in log.fields) for name, log in LOGS.items()}
    assert sizes == {"criteo": 39, "avazu": 24, "synthetic_clicks": 39}


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda: domain(fields=()), "it has no fields"),
        (lambda: domain(of="n"), "n is what is predicted"),
        (lambda: domain(fields=(replace(WHAT, side=""),)), "the side of what is ''"),
        (lambda: domain(fields=(replace(WHAT, columns=numbers(["m"])),)), "it has no such column m"),
        (lambda: domain(fields=(WHAT, WHAT)), "a field is declared twice"),
        (lambda: domain(replace(LOG, order="c")), "to be ordered by"),
        (
            lambda: domain(fields=(replace(WHAT, columns=(Column("n", Type.STRING, "", role=Number()),)),)),
            "its role Number needs",
        ),
    ],
)
def test_a_log_that_contradicts_itself_is_refused(declare: object, says: str) -> None:
    with pytest.raises(DeclarationError, match=says):
        declare()  # type: ignore[operator]
