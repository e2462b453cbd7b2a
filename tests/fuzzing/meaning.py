"""What a value of a file plainly means, value by value: slow, and by no SQL."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BEGINNING = datetime(1990, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
ROLES = ("user_id", "movie_id", "rating", "timestamp")
_BLANKS = " \t\r\n"
_ISO = re.compile(
    r"(?a:(\d{4}-\d{2}-\d{2})(?:[Tt ]([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.(\d+))?)?"
    r"(?: ?(?:[Zz]|UTC|([-+])([01]\d|2[0-3])(?::?([0-5]\d))?))?)?)"
)


class Rated(NamedTuple):
    """A rating that may stand in the lake."""

    user_id: int
    movie_id: int
    rating: float
    event_timestamp: datetime


def rated(cells: Mapping[str, Any]) -> Rated | None:
    """What a row of a file says by its values of `ROLES`; None where one of them breaks a rule."""
    user, movie = whole(cells.get("user_id")), whole(cells.get("movie_id"))
    stars, at = number(cells.get("rating")), instant(cells.get("timestamp"))
    if user is None or movie is None or stars is None or at is None:
        return None
    possible = user >= 1 and movie >= 1 and 0.5 <= stars <= 5 and stars % 0.5 == 0
    return Rated(user, movie, stars, at) if possible and BEGINNING <= at <= datetime.now(UTC) else None


def whole(value: Any) -> int | None:
    """A whole number of 64 bits, such as 7, 7.0 and " 7. "."""
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and abs(value) < 9.2e18 and value == int(value) else None
    value = _written_as(value, r"[-+]?[0-9]+(\.0*)?")
    if isinstance(value, str):
        digits = value.split(".")[0]
        value = int(digits) if len(digits) < 40 else 1 << 64
    return value if isinstance(value, int) and -(1 << 63) <= value < 1 << 63 else None


def number(value: Any) -> float | None:
    """A finite number."""
    value = _written_as(value, r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?")
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _written_as(value: Any, form: str) -> Any:
    """Of a text or a decimal its digits, or None where it has not the form; any other value as it is."""
    if isinstance(value, Decimal):
        value = f"{value:f}"
    if not isinstance(value, str):
        return value
    text = value.strip(_BLANKS)
    return text if re.fullmatch(form, text) else None


def instant(value: Any) -> datetime | None:
    """An instant to the microsecond: of a date its midnight, in UTC where no zone is said."""
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, str) and (found := _ISO.fullmatch(value.strip(_BLANKS))):
        return _written(*found.groups())
    seconds = number(value)
    if seconds is None or not 0 <= seconds <= 1e11:
        return None  # those before 1970 break a rule anyway
    try:
        return EPOCH + math.floor(seconds * 1_000_000 + 0.5) * MICROSECOND
    except OverflowError:
        return None


def _written(
    day: str,
    hour: str | None,
    minute: str | None,
    second: str | None,
    decimals: str | None,
    sign: str | None,
    ahead: str | None,
    minutes_ahead: str | None,
) -> datetime | None:
    try:
        at = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
        micros = int(f"{decimals or '':0<6}"[:6])
        at += timedelta(
            hours=int(hour or 0), minutes=int(minute or 0), seconds=int(second or 0), microseconds=micros
        )
        offset = timedelta(hours=int(ahead or 0), minutes=int(minutes_ahead or 0))
        return at + offset if sign == "-" else at - offset
    except (ValueError, OverflowError):
        return None
