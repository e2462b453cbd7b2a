"""Instants written as ISO 8601 has them, such as 2020-01-31T12:00:00Z: SQL of `lake.dialect` that reads them.

A date is its midnight. Between date and time stands T or a blank; seconds, and any decimals of theirs, may be
left out, and of nanoseconds whole microseconds count. A zone is Z, UTC or an offset such as +02:00, +0200 or
+02; without one, the time is in UTC. All functions take SQL of a text without blanks around it.
"""

EXAMPLE = "2020-01-31T12:00:00Z"

_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_HOUR, _SIXTY = "([01][0-9]|2[0-3])", "[0-5][0-9]"
_TIME = f"[Tt ]{_HOUR}:{_SIXTY}(:{_SIXTY}([.][0-9]+)?)?"
_ZONE = f" ?([Zz]|UTC|[-+]{_HOUR}(:?{_SIXTY})?)"
_INSTANT = f"^{_DATE}({_TIME}({_ZONE})?)?$"
_WITHOUT_ZONE = f"^{_DATE}({_TIME})?$"


def is_instant(text: str) -> str:
    """SQL, true for a text that is such an instant."""
    return f"regexp_like({text}, '{_INSTANT}') AND {_date(text)} IS NOT NULL"


def lacks_zone(text: str) -> str:
    """SQL, true for a text that is such an instant, and has no zone."""
    return f"regexp_like({text}, '{_WITHOUT_ZONE}') AND {_date(text)} IS NOT NULL"


def micros(text: str) -> str:
    """SQL of the microseconds since 1970 of a text that is such an instant."""
    after_minutes = f"substring({text}, 17)"

    def found(pattern: str) -> str:
        return _whole(f"regexp_extract({after_minutes}, '{pattern}', 1)")

    days = f"CAST(unix_date({_date(text)}) AS BIGINT)"
    hours, minutes = (_whole(f"substring({text}, {place}, 2)") for place in (12, 15))
    ahead = f"({found('[-+]([0-9]{2})')} * 60 + {found('[-+][0-9]{2}:?([0-9]{2})')})"
    local = f"{days} * 1440 + {hours} * 60 + {minutes}"
    utc = f"({local} + CASE WHEN instr({after_minutes}, '-') > 0 THEN 1 ELSE -1 END * {ahead})"
    decimals = f"rpad(substring(regexp_extract({after_minutes}, '[.]([0-9]+)', 1), 1, 6), 6, '0')"
    return f"({utc} * 60 + {found('^:([0-9]{2})')}) * 1000000 + CAST({decimals} AS BIGINT)"


def _date(text: str) -> str:
    return f"try_cast(substring({text}, 1, 10) AS DATE)"


def _whole(digits: str) -> str:
    """SQL of a whole number; what is left out is an empty text, and 0."""
    return f"CAST(concat('0', {digits}) AS BIGINT)"
