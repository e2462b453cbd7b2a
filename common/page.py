"""The house's HTML pages: one file each, readable offline, by day and by night, on paper.

A page is a Jinja2 template that extends `base.html` and uses the macros of `parts.html`.
Everything is escaped unless a template says otherwise, an undefined name is an error, and a page that would
load anything from elsewhere is refused.
"""

from base64 import b64encode
from collections.abc import Iterable
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from re import findall
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"

SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"<svg": "image/svg+xml",
    b"<?xml": "image/svg+xml",
}
"""First bytes of the pictures that a page may hold, and their media types."""


def render(templates: Path, name: str, /, **values: Any) -> str:
    """One self-contained page.

    Args:
        templates: the package's own folder of templates; those of the house are found as well.
        name: of the template in it.
        **values: what the template reads.

    Filters beyond Jinja2's: `number` (1,234), `share` (12.3 %), `seconds` (1 min 2 s), `instant` (UTC).
    Globals: `picture(light, alt, dark=None)`.

    Raises:
        ValueError: the page would load something that is not in it.
        jinja2.TemplateError: the template is wrong, or reads a name that was not given.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([templates, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "share": share, "seconds": seconds, "instant": instant}
    environment.globals |= {"picture": picture}
    page = environment.get_template(name).render(**values)
    if loaded := external_resources(page):
        raise ValueError(f"{name} is not self-contained: it would load {', '.join(loaded)}.")
    return page


def data_uri(content: bytes | str) -> str:
    """A PNG, JPEG or SVG as a `data:` address, which needs no file beside the page.

    Raises:
        ValueError: it is none of these.
    """
    data = content.encode() if isinstance(content, str) else content
    start = data.lstrip()[:64]
    for signature, media_type in SIGNATURES.items():
        if start.startswith(signature):
            return f"data:{media_type};base64,{b64encode(data).decode()}"
    raise ValueError("a page can hold PNG, JPEG and SVG pictures only")


def picture(light: bytes | str, alt: str, dark: bytes | str | None = None) -> "Markup":
    """An embedded picture. On a dark screen `dark` is shown if there is one, else `light` on a light ground.

    Args:
        light, dark: a PNG, JPEG or SVG, its bytes or its text.
        alt: what it shows, for those who cannot see it.
    """
    from markupsafe import Markup

    plain = Markup('<img src="{}" alt="{}"{}>').format(
        data_uri(light), alt, Markup("") if dark is not None else Markup(' class="on-light"')
    )
    if dark is None:
        return plain
    return Markup(
        '<picture><source media="screen and (prefers-color-scheme: dark)" srcset="{}">{}</picture>'
    ).format(data_uri(dark), plain)


# --- filters --------------------------------------------------------------------------------------------


def number(value: float | None, digits: int = 0) -> str:
    """1234.5 → "1,234" or, with one digit, "1,234.5"; "–" for None and NaN."""
    return "–" if value is None or value != value else f"{value:,.{digits}f}"


def share(value: float | None) -> str:
    """.1234 → "12.3 %". What is not none is never shown as 0, what is not all never as 100."""
    if value is None or value != value:
        return "–"
    if 0 < value < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= value < 1:
        return "> 99.9 %"
    return f"{value:.0%}".replace("%", " %") if value in (0, 1) else f"{value * 100:.1f} %"


def seconds(value: float) -> str:
    """62.3 → "1 min 2 s", 3.21 → "3.2 s"."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def instant(value: datetime) -> str:
    """A point in time, to the minute, in UTC."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


# --- the promise to be one file -------------------------------------------------------------------------


class _Resources(HTMLParser):
    """Collects what a browser would load for a page without being asked. Links to follow are no resources."""

    LOADING = ("src", "srcset", "data", "poster", "background", "xlink:href")

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        values = {name: value or "" for name, value in attrs}
        names: Iterable[str] = (
            (*self.LOADING, "href") if tag in ("link", "use", "image", "base") else self.LOADING
        )
        for name in names:
            value = values.get(name, "")
            if value and not value.startswith(("data:", "#")):
                self.found.append(value)
        self._style(values.get("style", ""))

    def handle_endtag(self, tag: str) -> None:
        self._in_style = self._in_style and tag != "style"

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self._style(data)

    def _style(self, css: str) -> None:
        addresses = findall(r"url\(\s*['\"]?([^'\")]+)", css) + findall(r"@import\s+['\"]([^'\"]+)", css)
        self.found += [address for address in addresses if not address.startswith(("data:", "#"))]


def external_resources(page: str) -> list[str]:
    """Addresses that a browser would load to show this page; empty for a self-contained one."""
    parser = _Resources()
    parser.feed(page)
    parser.close()
    return parser.found
