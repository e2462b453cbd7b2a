"""Criteo's display advertising challenge (Kaggle 2014), and the synthetic log of its shape.

Nobody was told what the columns mean: 13 numbers, mostly counts, and 26 categories, hashed.
"""

from feature_repo.define.domain import Domain
from feature_repo.define.fields import Fields, categories, numbers
from feature_repo.define.table import Table
from feature_repo.domains.clicks.columns import CLICK, CLICKED, POSITION

NUMBERS, CATEGORIES = 13, 26


def _shaped(name: str, log: str, description: str) -> Domain:
    """A log with Criteo's columns."""
    fields = Fields(
        "numbers and categories",
        numbers(f"i{place}" for place in range(1, NUMBERS + 1))
        + categories(f"c{place}" for place in range(1, CATEGORIES + 1)),
    )
    table = Table(
        name=f"clicks_{log}",
        kind="log",
        key=(POSITION,),
        columns=(CLICK, *fields.columns),
        description=description,
        unique=(POSITION.name,),
    )
    return Domain(name, description, sources=(table,), fields=(fields,), tasks=(CLICKED,))


CRITEO = _shaped(
    "criteo", "criteo", "Advertisements shown by Criteo, in order of time, and which were clicked."
)
SYNTHETIC = _shaped(
    "synthetic_clicks", "synthetic", "A generated log of Criteo's shape whose true click rates are known."
)
