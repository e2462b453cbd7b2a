"""The house's HTML pages are one file each, escape what they show, and refuse to load anything."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.page import data_uri, external_resources, instant, number, picture, render, seconds, share

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 8
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"><rect width="4" height="4"/></svg>'

PLAIN = """{% extends "base.html" %}{% import "parts.html" as parts %}
{% block title %}A report{% endblock %}
{% block content %}
{{ parts.tile("Rows", rows | number, "as read", "good") }}
{{ parts.badge("passed", "good") }}
{{ parts.table(("name", "rows"), [(name, 3)], numeric=(1,), foot=("all", 3)) }}
{{ parts.figure(picture(light, "a curve"), "caption") }}
{% call parts.notice("bad") %}<p>{{ name }}</p>{% endcall %}
{{ parts.bar(0.25) }}
{% endblock %}"""


def page(folder: Path, source: str, **values: object) -> str:
    (folder / "page.html").write_text(source)
    return render(folder, "page.html", **values)


def test_a_page_is_whole_and_loads_nothing(tmp_path: Path) -> None:
    html = page(tmp_path, PLAIN, rows=1234567, name="ratings", light=PNG)
    assert html.startswith("<!doctype html>")
    assert html.rstrip().endswith("</html>")
    assert "<title>A report · Marquee</title>" in html
    assert "<h1>A report</h1>" in html
    assert "1,234,567" in html
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html
    assert "data:image/png;base64," in html
    assert "width: 25.0%" in html
    assert external_resources(html) == []


@given(st.text(alphabet="<>&\"'abc/ ={}%", min_size=1))
def test_values_are_escaped(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp()
    html = page(folder, '{% extends "base.html" %}{% block content %}[[{{ text }}]]{% endblock %}', text=text)
    shown = html.split("[[")[1].split("]]")[0]
    assert "<" not in shown
    assert ">" not in shown
    assert '"' not in shown


def test_an_unknown_name_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(jinja2.UndefinedError):
        page(tmp_path, "{{ nobody }}")


@pytest.mark.parametrize(
    "loading",
    [
        '<script src="https://example.org/x.js"></script>',
        '<link rel="stylesheet" href="style.css">',
        '<img src="figure.png" alt="">',
        '<img srcset="figure.png 2x" alt="">',
        '<iframe src="other.html"></iframe>',
        '<object data="figure.svg"></object>',
        "<style>@import 'other.css';</style>",
        "<style>p { background: url(paper.png) }</style>",
        "<p style=\"background: url('paper.png')\">x</p>",
        '<svg><use href="sprite.svg#a"/></svg>',
    ],
)
def test_a_page_that_would_load_something_is_refused(tmp_path: Path, loading: str) -> None:
    assert external_resources(loading)
    with pytest.raises(ValueError, match="not self-contained"):
        page(tmp_path, loading)


def test_links_that_people_follow_are_no_resources() -> None:
    assert external_resources('<a href="https://example.org">there</a><a href="#here">here</a>') == []


def test_pictures_know_their_type() -> None:
    assert data_uri(PNG).startswith("data:image/png;base64,")
    assert data_uri(SVG).startswith("data:image/svg+xml;base64,")
    assert data_uri(b"\xff\xd8\xff\xe0").startswith("data:image/jpeg;base64,")
    with pytest.raises(ValueError, match="PNG, JPEG and SVG"):
        data_uri(b"plain text")


def test_a_picture_has_its_words_escaped_and_a_dark_version_where_given() -> None:
    plain = picture(PNG, 'a "curve" <b>')
    assert "<b>" not in plain
    assert "&lt;b&gt;" in plain
    assert 'class="on-light"' in plain
    both = picture(PNG, "a curve", dark=SVG)
    assert "prefers-color-scheme: dark" in both
    assert "data:image/svg+xml" in both
    assert 'class="on-light"' not in both
    assert external_resources(both) == []


def test_numbers_read_well() -> None:
    assert [number(1234.5), number(1234.5, 1), number(None), number(float("nan"))] == [
        "1,234",
        "1,234.5",
        "–",
        "–",
    ]
    assert [seconds(3.21), seconds(62.3), seconds(7265)] == ["3.2 s", "1 min 2 s", "2 h 1 min"]
    local = datetime(2026, 1, 2, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert instant(local) == instant(local.astimezone(UTC)) == "2026-01-01 23:30 UTC"


def test_a_share_is_never_shown_as_none_or_all_where_it_is_not() -> None:
    assert [share(0), share(0.00001), share(0.1234), share(0.99999), share(1)] == [
        "0 %",
        "< 0.1 %",
        "12.3 %",
        "> 99.9 %",
        "100 %",
    ]
