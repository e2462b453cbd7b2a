"""Where servers are, as settings say it: checked before anything connects. Passwords in it are not shown."""

import inspect
import re

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from common.errors import MarqueeError

EXAMPLES = {
    "MARQUEE_POSTGRES": "postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE",
    "MARQUEE_REDIS": "HOST:6379",
}
_NODE = re.compile(r"[^:/@\s]+:(\d{1,5})")


def check_postgres(url: str) -> None:
    """Refuse what is no URL of a PostgreSQL database.

    Raises:
        MarqueeError: it is not.
    """
    try:
        found = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise _wrong("MARQUEE_POSTGRES", "is no URL") from error
    if found.get_backend_name() != "postgresql":
        raise _wrong("MARQUEE_POSTGRES", f"is of {found.get_backend_name()}, not of postgresql")
    if found.drivername not in ("postgresql", "postgresql+psycopg"):
        raise _wrong("MARQUEE_POSTGRES", f"names the driver {found.drivername}")


def check_redis(address: str) -> None:
    """Refuse what is no address of Redis servers, with options of the client behind it.

    Raises:
        MarqueeError: it is not.
    """
    from redis import Redis

    known = {"redis_type", "type", *inspect.signature(Redis.__init__).parameters}
    nodes = 0
    for part in address.split(","):
        name, given, _ = part.partition("=")
        if given:
            if name.strip() not in known:
                raise _wrong("MARQUEE_REDIS", "has an option that its client does not know")
            continue
        node = _NODE.fullmatch(part.strip())
        if node is None or not 0 < int(node[1]) < 2**16:
            raise _wrong("MARQUEE_REDIS", "is no HOST:PORT")
        nodes += 1
    if not nodes:
        raise _wrong("MARQUEE_REDIS", "names no server")


def _wrong(variable: str, why: str) -> MarqueeError:
    return MarqueeError(f"{variable} {why}: export {variable}={EXAMPLES[variable]}, with your own values.")
