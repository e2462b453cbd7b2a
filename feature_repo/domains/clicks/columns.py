"""Columns that every click log has."""

from feature_repo.define.column import Column, Type
from feature_repo.define.task import Binary

POSITION = Column(
    "position", Type.INT64, "The row's place in the log, over all its files in order of their names.", low=1
)
CLICK = Column("click", Type.INT64, "1 where it was clicked, else 0.", low=0, high=1)
CLICKED = Binary("clicked", "click", 1, says="clicked")
