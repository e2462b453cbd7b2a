"""Titles with years in brackets of any kind."""

import time

import pytest

from pipelines.sources.titles import read_title


@pytest.mark.parametrize(
    ("text", "title", "year"),
    [
        ("Toy Story (1995)", "Toy Story", "1995"),
        ("Rocky VI (1986) ", "Rocky VI", "1986"),
        ("Big Bang Theory, The (2007-)", "Big Bang Theory, The", "2007"),
        ("Fawlty Towers (1975-1979)", "Fawlty Towers", "1975"),
        ("Fawlty Towers (1975–1979)", "Fawlty Towers", "1975"),
        ("Seven (a.k.a. Se7en) (1995)", "Seven (a.k.a. Se7en)", "1995"),
        ("Land Before Time III (1995) (V)", "Land Before Time III", "1995"),
        ("2001: A Space Odyssey (1968)", "2001: A Space Odyssey", "1968"),
        ("Hyena Road", "Hyena Road", None),
        ("Se7en (Seven)", "Se7en (Seven)", None),
        ("1984", "1984", None),
        ("(1941)", "(1941)", None),
        ("Mona (Mona ja aika) (1983))", "Mona (Mona ja aika)", "1983"),
        ("Mona (Mona ja aika (1983))", "Mona (Mona ja aika)", "1983"),
        ("Mona ((1983))", "Mona", "1983"),
        ("Silence [1963]", "Silence", "1963"),
        ("Silence {1963}", "Silence", "1963"),
        ("Silence （1963）", "Silence", "1963"),
        ("Silence ( 1963 )", "Silence", "1963"),
        ("Silence (1963?)", "Silence", "1963"),
        ("Silence (1963/I)", "Silence", "1963"),
        ("Silence (TV 1963)", "Silence", "1963"),
        ("Silence (1963, TV)", "Silence", "1963"),
        ("Silence (1963) Director's Cut", "Silence Director's Cut", "1963"),
        ("Silence (1962) (1963)", "Silence (1962)", "1963"),
        ("Silence (1963) (3000)", "Silence (3000)", "1963"),
        ("Silence (2006-07)", "Silence", "2006"),
        ("Space 2063 (3000)", "Space 2063 (3000)", None),
        ("Route (66)", "Route (66)", None),
        ("Prime (" + "7" * 5000 + ")", "Prime (" + "7" * 5000 + ")", None),
        ("Foo (١٩٩٥)", "Foo (١٩٩٥)", None),
        ("Foo (1995-٩٦)", "Foo (1995-٩٦)", None),
        ("2012 (2009)", "2012", "2009"),
        ("", "", None),
    ],
)
def test_title_is_parted_from_its_year(text: str, title: str, year: str | None) -> None:
    found = read_title(text)
    assert (found.title, found.year) == (title, year)


@pytest.mark.parametrize("run", [" ", "(", "( ", "(TV ", "(1995) "])
def test_a_long_run_of_brackets_or_blanks_takes_no_time(run: str) -> None:
    begun = time.process_time()
    title = read_title(f"a{run * (100_000 // len(run))}b (1995)")
    assert time.process_time() - begun < 2
    assert title.year == "1995"
