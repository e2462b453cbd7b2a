"""A home may have any name that the system allows; nothing of it lies elsewhere."""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from app.doctor import names
from app.lookup import lookup
from common.errors import MarqueeError
from common.settings import Settings, load_settings
from feature_repo import store
from feature_repo.domains.movies import DOMAIN
from lake.changes import added_rows
from lake.locales import names_in_utf8
from lake.session import spark_session
from lake.write import write
from tests.asof_battery import ENGINES
from tests.lake import build_lake, build_tables
from tests.marquee import feast, marquee
from tests.test_press_store import with_offline_store
from tests.toy_domain import PRESS

NAMES = [
    *(
        "p%41",
        "%",
        "q?1",
        "a#b",
        "semi;colon",
        "[z]",
        "{home}",
        "${HOME}",
        "$HOME",
        "~",
        "*",
        "a|b",
        "^",
        "<a>",
    ),
    *(
        " leading and trailing ",
        "it's",
        'a "quoted" one',
        "back\\slash",
        "comma,",
        "a:b",
        "a=b&c+d",
        "@",
        "!",
    ),
    *("hömé", "日本", "cafe\u0301", "new\nline", "tab\t", "sqlite:", "- {yaml: [", "# comment", "x.py"),
]


HOMES = [
    "p%41 q?1#a;x [z] | ^ <a> *",
    " 'it is' \"q\" $HOME ${HOME} {home} ~ \\b ",
    "hömé 日本 cafe\u0301 &=+,:@!\nnext\tline",
    "- {yaml: [ # no comment",
]
"""Each with many of these."""


def names_in(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    build_tables(folder, PRESS, {"reader_id": 4, "article_id": 4})
    return folder / "lake"


@pytest.mark.parametrize("name", HOMES)
def test_all_that_is_made_lies_in_the_home(lake: Path, tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    shutil.copytree(lake, home / "lake")
    settings = Settings(home=home)
    store.apply(settings, PRESS)
    assert store.plan(settings, PRESS) == []
    sent = store.materialize(settings)
    assert all(part.rows == 4 for part in sent)
    opened = store.open_store(settings)
    assert lookup(opened, None, {"reader_id": 1, "article_id": "article_id 2"}).unknown == ()
    # Rows that come later are found by the table's log.
    stats = DeltaTable(home / "lake" / "reader_stats").to_pyarrow_table()
    later = stats.slice(0, 1)
    place = later.column_names.index("event_timestamp")
    at = pa.array([datetime(2030, 1, 1, tzinfo=UTC)], stats.schema.field(place).type)
    opened.write_to_offline_store("reader_stats", later.set_column(place, "event_timestamp", at).to_pandas())
    assert {part.view: part.rows for part in store.materialize(settings)} == {
        view.name: int(view.name == "reader_stats") for view in PRESS.views
    }
    labels = pa.table({"reader_id": [1], "article_id": ["article_id 1"], "event_timestamp": at})
    joined = opened.get_historical_features(labels, opened.get_feature_service("press_v1")).to_arrow()
    assert joined["reader_read_count"].to_pylist() != [None]
    assert names_in(tmp_path) == {name}
    assert {"lake", "online.db", "registry.db"} <= names_in(home)
    assert names_in(home / "lake") == {view.name for view in PRESS.views}


@pytest.mark.parametrize("name", HOMES)
def test_spark_joins_in_such_a_home(lake: Path, tmp_path: Path, name: str, spark: object) -> None:  # noqa: ARG001
    settings = Settings(home=tmp_path / name)
    shutil.copytree(lake, settings.lake)
    store.apply(settings, PRESS)
    opened = store.open_store(settings)
    at = pa.array([datetime(2030, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    labels = pa.table({"reader_id": [1], "article_id": ["article_id 1"], "event_timestamp": at})
    service = opened.get_feature_service("press_v1")
    found = with_offline_store(opened, ENGINES["spark"]).get_historical_features(labels, service).to_arrow()
    assert found.equals(opened.get_historical_features(labels, service).to_arrow())
    assert names_in(tmp_path) == {name}


def test_feasts_own_command_works_in_such_a_home(tmp_path: Path) -> None:
    """Plan, apply, materialise and teardown, and ours in between, all in one home."""
    home = tmp_path / 'p%41 q?1#a;x [z] hömé it\'s "q" $HOME ${HOME} {home} \\b &=+,:@\nnl: # {'
    build_lake(tmp_path / "plain", 3, 3)
    home.mkdir()
    (tmp_path / "plain" / "lake").rename(home / "lake")
    (tmp_path / "plain").rmdir()
    settings = Settings(home=home)

    def must(*arguments: str) -> None:
        done = feast(home, *arguments)
        assert done.exit_code == 0, done.output

    must("apply")
    assert store.plan(settings, DOMAIN) == []
    must("materialize", "1990-01-01T00:00:00", "2030-01-01T00:00:00")
    assert lookup(store.open_store(settings), None, {"user_id": 1, "movie_id": 1}).unknown == ()
    must("teardown")
    assert names_in(tmp_path) == {home.name}
    assert {"lake", "registry.db"} <= names_in(home)


@pytest.mark.parametrize(
    ("variables", "chosen"),
    [
        ({"LC_ALL": "C"}, "C.UTF-8"),
        ({"LC_ALL": "POSIX", "LANG": "C.UTF-8"}, "C.UTF-8"),
        ({"LC_CTYPE": "C.UTF-8", "LANG": "C"}, "C.UTF-8"),
        ({"LANG": "C.utf8"}, "C.utf8"),
        ({"LANG": "xx_YY.UTF-8"}, "C.UTF-8"),
        ({}, "C.UTF-8"),
    ],
)
def test_java_is_started_in_a_locale_of_utf8(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], chosen: str
) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with names_in_utf8():
        assert os.environ["LC_ALL"] == chosen
    assert {name: os.environ.get(name) for name in variables} == variables
    assert ("LC_ALL" in os.environ) == ("LC_ALL" in variables)


def test_a_system_without_utf8_is_said_by_doctor_and_before_spark_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("lake.locales._is_utf8", lambda _: False)
    assert names(Settings(home=tmp_path)).well
    found = names(Settings(home=tmp_path / "hömé"))
    assert (found.well, found.remedy) == (False, "export LC_ALL=C.UTF-8")
    with pytest.raises(MarqueeError, match=r"cannot name .*hömé.* export LC_ALL=C.UTF-8"):
        spark_session(scratch=tmp_path / "hömé")


@pytest.mark.process
def test_spark_works_in_such_a_home_in_the_locale_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    home = tmp_path / "hömé, with [a] %41"
    done = marquee(home, "data", "synth", "--ratings", 400, "--users", 20, "--movies", 100)
    assert done.returncode == 0, done.stderr
    assert names_in(tmp_path) == {home.name}
    assert any((home / "sources").rglob("*.parquet"))


@pytest.mark.process
def test_a_locale_without_utf8_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}.items():
        monkeypatch.setenv(name, value)
    why = "this locale does not name files in UTF-8: export LC_ALL=C.UTF-8."
    by_option = marquee(tmp_path, "doctor", "--home", tmp_path / "a hömé")
    assert by_option.stderr == f"Error: Invalid value for '--home': {why}\n"
    by_variable = marquee(tmp_path / "a hömé", "doctor")
    assert by_variable.stderr == f"Error: MARQUEE_HOME cannot be used: {why}\n"
    assert "Delta's jars" in marquee(tmp_path, "doctor").stdout  # whose table has ticks


def test_a_home_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MarqueeError, match=r"^MARQUEE_HOME cannot be used: a path is text in UTF-8\.$"):
        load_settings(tmp_path / os.fsdecode(b"\xff"))


# --- tables in such places --------------------------------------------------------------------------------

ROWS = pa.table(
    {
        "number": pa.array([1, 2]),
        "words": pa.array([["a"], []]),
        "state": pa.array([[("total", 1.5)], None], pa.map_(pa.string(), pa.float64())),
        "at": pa.array([0, 1], pa.timestamp("us", "UTC")),
    }
)
SAID = {"userMetadata": "what was seen"}


def histories(table: Path) -> list[object]:
    """What a table's log tells, whoever wrote it."""
    write(table, ROWS, overwrite=True, properties={"delta.enableChangeDataFeed": "true"}, said=SAID)
    write(table, ROWS.slice(1))
    first = DeltaTable(table, version=0)
    added = added_rows(DeltaTable(table), 0)
    assert added is not None
    grown = DeltaTable(table)
    write(table, ROWS.drop_columns(["words"]), overwrite=True)
    replaced = DeltaTable(table)
    assert added_rows(replaced, 1) is None
    write(table, ROWS.drop_columns(["words"]).slice(0, 0))
    return [
        *(
            opened.to_pyarrow_table().sort_by("number").to_pylist()
            for opened in (first, grown, replaced, DeltaTable(table))
        ),
        added.to_table().to_pylist(),
        *(opened.schema().to_json() for opened in (first, replaced)),
        first.metadata().configuration,
        first.protocol().min_reader_version,
        first.protocol().min_writer_version,
        first.history()[-1]["userMetadata"],
        [
            sum(opened.get_add_actions(flatten=True)["num_records"].to_pylist())
            for opened in (grown, replaced)
        ],
        grown.metadata().id == replaced.metadata().id,
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_written_as_deltalake_writes_it(tmp_path: Path, name: str) -> None:
    assert histories(tmp_path / name / "t") == histories(tmp_path / "plain" / "t")
    assert names_in(tmp_path) == {name, "plain"}


@pytest.mark.parametrize("name", ["key", "value", "element", "item"])
def test_a_column_named_as_a_part_of_a_nested_one_keeps_its_values(tmp_path: Path, name: str) -> None:
    rows = ROWS.rename_columns({"number": name}).slice(1)  # whose map and list are empty
    write(tmp_path / "t", rows)
    assert DeltaTable(tmp_path / "t").to_pyarrow_table()[name].to_pylist() == [2]


def test_spark_reads_and_appends_to_what_was_written(tmp_path: Path, spark: object) -> None:
    table = tmp_path / "[a] %41" / "t"
    write(table, ROWS, overwrite=True, properties={"delta.enableChangeDataFeed": "true"})
    write(table, ROWS)
    read = spark.read.format("delta").load(str(table))  # type: ignore[attr-defined]
    assert read.toArrow().sort_by("number")["number"].to_pylist() == [1, 1, 2, 2]
    read.write.format("delta").mode("append").save(str(table))
    write(table, ROWS)
    assert DeltaTable(table).to_pyarrow_table().num_rows == 10
    changes = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 1)  # type: ignore[attr-defined]
    assert changes.load(str(table)).count() == 8


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=12))
def test_any_name_of_a_folder_holds_its_table(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    top = tmp_path_factory.mktemp("any")
    if name in (".", ".."):
        return
    write(top / name / "t", ROWS)
    write(top / name / "t", ROWS)
    assert DeltaTable(top / name / "t").to_pyarrow_table().num_rows == 4
    assert names_in(top) == {name}
