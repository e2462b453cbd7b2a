"""The locale that Java is started in, which decides what files it can name."""

import locale
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager


def utf8_locale() -> str | None:
    """The environment's locale if it is one of UTF-8, or else C.UTF-8; None where the system has neither."""
    named = next((os.environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(name)), "C")
    return next((tried for tried in (named, "C.UTF-8") if _is_utf8(tried)), None)


@contextmanager
def names_in_utf8() -> Iterator[None]:
    """Let a Java that starts meanwhile name files as Python does, which takes UTF-8 in the locale C too."""
    held, chosen = os.environ.get("LC_ALL"), utf8_locale()
    if chosen is not None:
        os.environ["LC_ALL"] = chosen
    try:
        yield
    finally:
        if held is not None:
            os.environ["LC_ALL"] = held
        else:
            os.environ.pop("LC_ALL", None)


def _is_utf8(name: str) -> bool:
    """Whether a locale is one of UTF-8 that the system has."""
    if not re.search("utf-?8", name, re.IGNORECASE):
        return False
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, name)
    except locale.Error:
        return False
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    return True
