"""Every MovieLens layout gives the same three tables, and says clearly what it cannot read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from common.errors import MarqueeError
from feature_repo.domains.movies import DOMAIN
from lake.session import StartSpark
from pipelines.ingest import ingest
from pipelines.sources.movielens import RATING_FIELDS, read_movielens
from pipelines.sources.movielens_catalogue import GENRES_100K
from pipelines.sources.source import Source
from tests.raw_rows import no_spark, part, raw_values

RATINGS = [("1", "10", "3.5", "964982703"), ("2", "10", "5", "964982704"), ("2", "20", "1", "964982705")]
MOVIES = [("10", "Léon", "Crime|Drama", "1994"), ("20", "Silence", "", None)]


def flags(*genres: str) -> str:
    return "|".join("1" if genre in genres else "0" for genre in GENRES_100K)


def csv_layout(folder: Path) -> None:
    lines = ["userId,movieId,rating,timestamp", *(",".join(rating) for rating in RATINGS)]
    (folder / "ratings.csv").write_text("\n".join(lines) + "\n")
    (folder / "movies.csv").write_text(
        "movieId,title,genres\n10,Léon (1994),Crime|Drama\n20,Silence,(no genres listed)\n", "utf-8"
    )


def dat_layout(folder: Path) -> None:
    (folder / "ratings.dat").write_text("".join("::".join(rating) + "\n" for rating in RATINGS))
    (folder / "movies.dat").write_text("10::Léon (1994)::Crime|Drama\n20::Silence::\n", "latin-1")


def ml_100k_layout(folder: Path) -> None:
    (folder / "u.data").write_text("".join("\t".join(rating) + "\n" for rating in RATINGS))
    (folder / "u.item").write_text(
        f"10|Léon (1994)|01-Jan-1994||http://example.org|{flags('Drama', 'Crime')}\n"
        f"20|Silence||||{flags('unknown')}\n",
        "latin-1",
    )


def atomic_layout(folder: Path) -> None:
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    (folder / "x.inter").write_text(head + "".join("\t".join(rating) + "\n" for rating in RATINGS))
    (folder / "x.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "10\tLéon\t1994\tCrime Drama\n20\tSilence\tunkonwn\tunknown\n",
        "utf-8",
    )


LAYOUTS = {"csv": csv_layout, "dat": dat_layout, "100k": ml_100k_layout, "atomic": atomic_layout}


@contextmanager
def splits_of(spark: SparkSession, size: int) -> Iterator[None]:
    """Make Spark cut files into pieces of `size` bytes."""
    name = "spark.sql.files.maxPartitionBytes"
    before = spark.conf.get(name)
    spark.conf.set(name, str(size))
    try:
        yield
    finally:
        spark.conf.set(name, str(before))


def ratings_in(source: Source, start: StartSpark = no_spark) -> list[tuple[Any, ...]]:
    """The fields of the ratings as they are read: of a field that a line lacks, ""."""
    found = raw_values(start, source.tables["ratings"], *RATING_FIELDS)
    return sorted(tuple(value or "" for value in row) for row in found)


def movies_in(source: Source) -> list[tuple[Any, ...]]:
    """Id, title, genres and year of the movies as they are read, by row."""
    rows = source.tables["movies"].rows.in_memory().sort_by("row").to_pylist()
    return [(row["movie_id"], row["title"], row["genres"], row["release_year"]) for row in rows]


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_gives_the_same_tables(
    start: StartSpark, tmp_path: Path, layout: Callable[[Path], None]
) -> None:
    layout(tmp_path)
    source = read_movielens(tmp_path)
    assert ratings_in(source, start) == RATINGS
    assert movies_in(source) == MOVIES
    assert source.tables.keys() == {"ratings", "movies"}
    for raw in source.tables.values():
        for record, path, row in raw_values(start, raw, "record", "source", "row"):
            line = Path(path).read_bytes().splitlines()[row - 1]
            assert record in (line.decode("utf-8", "replace"), line.decode("latin-1"))


def test_catalogue_takes_quotes_and_contains_damage_to_its_row(tmp_path: Path) -> None:
    csv_layout(tmp_path)
    (tmp_path / "movies.csv").write_text(
        'movieId,title,genres\r\n10,"American President, The (1995)",Drama\r\n11,"""Great"" (1994)",Drama\r\n'
        '12,"never closed (1990),Drama\r\n13,too, many (1990),Drama\r\n14,Fine (1990),Drama\r\n',
        "utf-8",
        newline="",
    )
    rows = movies_in(read_movielens(tmp_path))
    assert rows[:2] == [
        ("10", "American President, The", "Drama", "1995"),
        ("11", '"Great"', "Drama", "1994"),
    ]
    # A row that does not split into its fields keeps its text where the id should be: the gate will tell.
    assert rows[2] == ('12,"never closed (1990),Drama', None, None, None)
    assert rows[3] == ("13,too, many (1990),Drama", None, None, None)
    assert rows[4] == ("14", "Fine", "Drama", "1990")


def test_a_field_that_is_absurdly_long_costs_its_row_only(tmp_path: Path) -> None:
    csv_layout(tmp_path)
    long = "x" * 200_000
    (tmp_path / "movies.csv").write_text(f"movieId,title,genres\n10,{long},Drama\n14,Fine (1990),Drama\n")
    rows = movies_in(read_movielens(tmp_path))
    assert rows == [(f"10,{long},Drama", None, None, None), ("14", "Fine", "Drama", "1990")]
    for name in ("ratings.csv", "movies.csv"):
        (tmp_path / name).write_text(f"{long},userId,movieId,rating,timestamp,title,genres\n1,2,3,4,5,6,7\n")
        with pytest.raises(MarqueeError, match=f"{name}, line 1: expected the header"):
            read_movielens(tmp_path)
        csv_layout(tmp_path)


def test_atomic_year_is_looked_for_in_the_title_where_its_column_has_none(
    tmp_path: Path,
) -> None:
    atomic_layout(tmp_path)
    (tmp_path / "x.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "1\tLand Before Time III (1995)\tV\tAnimation Children's\n2\tOdd\tsoon\tDrama\n3\tEmpty\t\tDrama\n"
    )
    rows = [row[1:] for row in movies_in(read_movielens(tmp_path))]
    assert rows == [
        ("Land Before Time III", "Animation|Children's", "1995"),
        ("Odd", "Drama", "soon"),
        ("Empty", "Drama", None),
    ]


def test_atomic_columns_are_found_by_name(start: StartSpark, tmp_path: Path) -> None:
    atomic_layout(tmp_path)
    (tmp_path / "x.inter").write_text(
        "timestamp:float\trating:float\titem_id:token\tuser_id:token\tnote:token\n7\t4\t10\t1\tx\n"
    )
    assert ratings_in(read_movielens(tmp_path), start) == [("1", "10", "4", "7")]


@pytest.mark.parametrize("split_bytes", [64, 300, 1 << 20])
def test_row_is_the_line_number_however_the_file_is_split(
    spark: SparkSession, tmp_path: Path, split_bytes: int
) -> None:
    csv_layout(tmp_path)
    lines = ["userId,movieId,rating,timestamp"]
    lines += [f"{user},{10 ** (user % 7)},3,{964982703 + user}" + " " * (user % 5) for user in range(1, 60)]
    lines[20] = ""  # a blank line is a line, but no row
    (tmp_path / "ratings.csv").write_text("\n".join(lines))  # no newline at the end
    rows = read_movielens(tmp_path).tables["ratings"].rows
    with splits_of(spark, split_bytes):
        ratings = rows.on_spark(spark)
        found = {row["row"]: row["record"] for row in ratings.collect()}
        pieces = ratings.rdd.getNumPartitions()
    assert found == {at: line for at, line in enumerate(lines, start=1) if at > 1 and line}
    here = rows.in_memory().to_pylist()
    assert {row["row"]: row["record"] for row in here} == found
    assert rows.count >= len(found)
    assert pieces == 1 if split_bytes > 1000 else pieces > 1


def test_what_follows_the_fourth_field_stays_with_it(start: StartSpark, tmp_path: Path) -> None:
    csv_layout(tmp_path)
    (tmp_path / "ratings.csv").write_text(
        'userId,movieId,rating,timestamp\n1,10,3,5,964982703\n1,10,4\n"1","10","4","964982703"\n'
    )
    rows = raw_values(start, read_movielens(tmp_path).tables["ratings"], "row", "rating", "timestamp")
    assert rows == [(2, "3", "5,964982703"), (3, "4", None), (4, "4", "964982703")]


QUOTED = {
    '"1","10","4","964982703"': ("1", "10", "4", "964982703", ""),
    ' "1" , "10",4,"964982703" ,a': ("1", "10", "4", "964982703", "a"),
    '1,10,4,964982703,"a, b"': ("1", "10", "4", "964982703", "a, b"),
    '1,10,4,964982703,"say ""no"", twice"': ("1", "10", "4", "964982703", 'say "no", twice'),
    '"",10,4,964982703,""': ("", "10", "4", "964982703", ""),
    '1,"10,4,964982703,a': ("1", "", "", "", ""),
    "1,10,4,964982703,it's": ("1", "10", "4", "964982703", "it's"),
    '1,10,4,964982703,say "no"': ("1", "10", "4", "964982703", 'say "no"'),
    "1,,4,,": ("1", "", "4", "", ""),
}
"""Lines of five columns and their fields."""


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_are_read_alike_however_they_end_and_are_quoted(
    start: StartSpark, tmp_path: Path, ending: str, last: bool
) -> None:
    csv_layout(tmp_path)
    lines = ["userId,movieId,rating,timestamp,note", *QUOTED, "", " ", "é,\u00a0,4,964982703,"]
    text = ending.join(lines) + (ending if last else "")
    (tmp_path / "ratings.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    found = ratings_in(read_movielens(tmp_path), start)
    expected = [fields[:4] for fields in QUOTED.values()] + [("é", "\u00a0", "4", "964982703")]
    assert found == sorted(expected)


def test_what_is_no_utf_8_is_guessed_alike_in_ratings(start: StartSpark, tmp_path: Path) -> None:
    csv_layout(tmp_path)
    lines = [
        b"userId,movieId,rating,timestamp,note",
        b"1,10,4,964982703,caf\xe9",
        b"2,\xc3(,4,5,\x96 \xe2\x82",
    ]
    (tmp_path / "ratings.csv").write_bytes(b"\n".join(lines))
    found = raw_values(start, read_movielens(tmp_path).tables["ratings"], "record", "movie_id")
    assert found == [("1,10,4,964982703,café", "10"), ("2,Ã(,4,5,– â‚", "Ã(")]


def test_path_with_pattern_characters_is_taken_as_it_is(start: StartSpark, tmp_path: Path) -> None:
    folder = tmp_path / "data [1] {a,b} *?"
    folder.mkdir()
    csv_layout(folder)
    assert ratings_in(read_movielens(folder), start) == RATINGS


def test_first_movies_keeps_the_movies_up_to_that_id(start: StartSpark, tmp_path: Path) -> None:
    csv_layout(tmp_path)
    with (tmp_path / "ratings.csv").open("a") as file:
        file.write("3,abc,3,964982706\n3,,3,964982707\n")
    posters = tmp_path / "posters"
    posters.mkdir()
    for name in ("10.jpg", "20.jpg", "abc.jpg"):
        (posters / name).write_bytes(b"")
    source = read_movielens(tmp_path, posters, first_movies=10)
    # What is no number is neither in nor out: the quarantine gets it.
    assert sorted(movie for _, movie, *_ in ratings_in(source, start)) == ["", "10", "10", "abc"]
    assert [movie for movie, *_ in movies_in(source)] == ["10"]
    assert sorted(row["movie_id"] for row in source.tables["posters"].rows.in_memory().to_pylist()) == [
        "10",
        "abc",
    ]
    found = part(start, DOMAIN, "ratings", source.tables["ratings"], {"movies": [10]})
    assert (found.read, len(found.good), len(found.bad), found.left_out) == (4, 2, 2, 1)


def test_posters_are_the_pictures_of_a_folder(tmp_path: Path) -> None:
    csv_layout(tmp_path)
    posters = tmp_path / "posters"
    posters.mkdir()
    for name in ("1.jpg", "2.JPEG", "3.png", "cover.jpg", "README.txt", ".4.jpg"):
        (posters / name).write_bytes(b"")
    (posters / "5.jpg").mkdir()
    rows = read_movielens(tmp_path, posters).tables["posters"].rows.in_memory().to_pylist()
    expected = [("1", "1.jpg"), ("2", "2.JPEG"), ("3", "3.png"), ("cover", "cover.jpg")]
    assert [(row["movie_id"], row["source"]) for row in rows] == [
        (stem, str(posters / name)) for stem, name in expected
    ]


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    ("layout", "spoil", "message"),
    [
        (csv_layout, remove("ratings.csv"), r"has movies.csv but no ratings.csv; both are needed"),
        (csv_layout, remove("movies.csv"), r"has ratings.csv but no movies.csv"),
        (atomic_layout, remove("x.inter"), r"has x.item but no \*.inter"),
        (atomic_layout, write("y.inter", "x"), r"several data sets \(x.inter, y.inter, x.item\)"),
        (csv_layout, write("ratings.csv", ""), r"ratings.csv is empty"),
        (csv_layout, write("ratings.csv", "\n \n"), r"ratings.csv is empty"),
        (
            csv_layout,
            write("ratings.csv", "userId,movieId,rating,timestamp\n"),
            r"ratings.csv has .* no rows",
        ),
        (csv_layout, write("movies.csv", "movieId,title,genres\n"), r"movies.csv has .* no rows"),
        (dat_layout, write("ratings.dat", ""), r"ratings.dat is empty"),
        (ml_100k_layout, write("u.item", ""), r"u.item is empty"),
        (
            csv_layout,
            write("ratings.csv", "user,movie,stars,when\n1,2,3,4\n"),
            r"ratings.csv, line 1: expected the header 'userId,movieId,rating,timestamp', "
            r"found 'user,movie,stars,when'",
        ),
        (csv_layout, write("ratings.csv", "1,2,3,4\n1,2,3,4\n"), r"ratings.csv, line 1: expected the header"),
        (csv_layout, write("ratings.csv", "1,2,3,4\n"), r"ratings.csv, line 1: expected the header"),
        (csv_layout, write("movies.csv", "1,A,Drama\n"), r"movies.csv has .*; a header and rows are needed"),
        (csv_layout, write("movies.csv", "id,title\n1,x\n"), r"movies.csv, line 1: expected the header"),
        (dat_layout, write("ratings.dat", "1,2,3,4\n"), r"line 1: expected 'user_id::movie_id::rating::"),
        (
            atomic_layout,
            write("x.inter", "user_id\titem_id\n1\t2\n"),
            r"line 1: expected the header 'user_id:token",
        ),
        (
            atomic_layout,
            write("x.inter", "user_id:token\titem_id:token\n1\t2\n"),
            r"line 1: expected the header",
        ),
        (atomic_layout, write("x.item", "item_id:token\n1\n"), r"x.item, line 1: expected the header"),
    ],
)
def test_wrong_files_are_one_clear_sentence(
    tmp_path: Path,
    layout: Callable[[Path], None],
    spoil: Callable[[Path], object],
    message: str,
) -> None:
    layout(tmp_path)
    spoil(tmp_path)
    with pytest.raises(MarqueeError, match=message) as raised:
        read_movielens(tmp_path)
    assert str(raised.value).startswith(str(tmp_path))
    assert "\n" not in str(raised.value)


def test_wrong_folders_are_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(MarqueeError, match=r"nowhere does not exist; give one that holds ratings.csv"):
        read_movielens(tmp_path / "nowhere")
    with pytest.raises(MarqueeError, match=r"holds none of .* found nothing"):
        read_movielens(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(MarqueeError, match=r"notes.txt is a file, not a folder"):
        read_movielens(tmp_path / "notes.txt")
    with pytest.raises(MarqueeError, match=r"ratings.csv \+ movies.csv .* found notes.txt\."):
        read_movielens(tmp_path)
    inner = tmp_path / "ml-1m"
    inner.mkdir()
    csv_layout(inner)
    with pytest.raises(MarqueeError, match=r"did you mean .*/ml-1m\?"):
        read_movielens(tmp_path)
    with pytest.raises(MarqueeError, match=r"posters' folder .*/nowhere does not exist"):
        read_movielens(inner, tmp_path / "nowhere")
    with pytest.raises(MarqueeError, match=r"no pictures named <movieId>.jpg in .*/ml-1m"):
        read_movielens(inner, inner)
    with pytest.raises(MarqueeError, match="at least 1, not 0"):
        read_movielens(inner, first_movies=0)


def test_paper_subset_of_the_real_sample(real_data: Path, tmp_path: Path) -> None:
    source = read_movielens(real_data / "movielens-small", real_data / "posters", first_movies=1000)
    rated = [float(stars) for _, _, stars, _ in ratings_in(source)]
    assert len(rated) == 24_509
    assert round(sum(stars >= 3.5 for stars in rated) / len(rated), 3) == 0.589
    assert source.tables["posters"].rows.count == 971
    report = ingest(no_spark, source, tmp_path, DOMAIN)
    assert report.tables["ratings"].left_out == 100_004 - 24_509


def test_real_lines_keep_their_numbers_in_many_splits(spark: SparkSession, real_data: Path) -> None:
    lines = (real_data / "movielens-small" / "ratings.csv").read_text().splitlines()
    rows = read_movielens(real_data / "movielens-small").tables["ratings"].rows
    expected = list(enumerate(lines[1:], start=2))
    with splits_of(spark, 200_000):
        found = rows.on_spark(spark).select("row", "record").toPandas()
    assert len(found) == len(lines) - 1
    assert sorted(zip(found["row"], found["record"], strict=True)) == expected
    here = rows.in_memory()
    assert list(zip(here["row"].to_pylist(), here["record"].to_pylist(), strict=True)) == expected


def test_real_ml_100k_has_all_its_rows(real_data: Path) -> None:
    source = read_movielens(real_data / "ml-100k")
    assert len(ratings_in(source)) == 100_000
    movies = {movie: (title, genres, year) for movie, title, genres, year in movies_in(source)}
    assert len(movies) == 1682
    assert [movie for movie, (_, _, year) in movies.items() if not (year or "").isdigit()] == ["267"]
    assert movies["267"][1] == ""
    assert movies["1412"] == (
        "Land Before Time III: The Time of the Great Giving",
        "Animation|Children's",
        "1995",
    )
