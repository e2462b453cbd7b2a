"""Maintenance changes how a table lies on disk, and nothing else."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from app import maintain as app_maintain
from app.maintain import maintain_lake, recorded_versions, space_line
from app.summary import FIRST_FIELDS
from common.errors import MarqueeError
from common.files import digest_of
from common.progress import Stages
from common.settings import Settings
from feature_repo.domains.movies import DOMAIN
from feature_repo.domains.movies.tables import RATINGS
from pipelines.features.jobs import run_job
from pipelines.ingest import add, ingest
from pipelines.maintain import Maintained, maintain
from pipelines.sources.movielens import read_movielens
from tests.test_adding import movielens
from tests.test_incremental import content

TABLE = "movie_rating_stats"
NOTHING = timedelta(0)


def ratings(first: int, n: int = 12) -> list[str]:
    """Lines of ratings by users `first`, `first` + 1, … of two movies by turns."""
    return [
        f"{user},{1 + user % 2},{1 + user % 5}.0,{900000000 + 60 * user}" for user in range(first, first + n)
    ]


@pytest.fixture(scope="module")
def built(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake whose ratings came in two pieces, each taken in by the job."""
    folder = tmp_path_factory.mktemp("maintain")
    for i, first in enumerate((40, 1)):  # the second piece is late
        source = read_movielens(movielens(folder / f"source{i}", ratings(first)))
        (add if i else ingest)(lambda: spark, source, folder / "lake", DOMAIN)
        run_job(lambda: spark, folder / "lake", DOMAIN, TABLE)
    return folder / "lake"


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "lake"))


def keys_in_files(folder: Path, name: str, key: str) -> list[int]:
    table = DeltaTable(folder / name).to_pyarrow_table()
    return [int(value) for value in table.column(key).to_pylist()]


def test_a_maintained_table_is_compact_clustered_and_the_same(spark: SparkSession, folder: Path) -> None:
    before = content(folder, TABLE)
    done = maintain(spark, folder, DOMAIN, TABLE)
    assert done.files[0] > done.files[1] == 1
    assert content(folder, TABLE) == before
    keys = keys_in_files(folder, TABLE, "movie_id")
    assert keys == sorted(keys)
    assert done.versions[0] == 0, "nothing is old enough to go"
    maintain(spark, folder, DOMAIN, TABLE)
    operations = [commit["operation"] for commit in DeltaTable(folder / TABLE).history()]
    assert operations.count("OPTIMIZE") == 1, "what is as it should be is left"


def test_old_versions_go_and_jobs_go_on(spark: SparkSession, folder: Path, tmp_path: Path) -> None:
    done = [maintain(spark, folder, DOMAIN, name, NOTHING) for name in (RATINGS.name, TABLE)]
    assert all(table.size[1] < table.size[0] for table in done)
    assert all(table.versions[0] > 0 for table in done)
    with pytest.raises(FileNotFoundError):
        DeltaTable(folder / TABLE, version=0).to_pyarrow_table()
    add(lambda: spark, read_movielens(movielens(tmp_path / "more", ratings(10))), folder, DOMAIN)
    update = run_job(lambda: spark, folder, DOMAIN, TABLE)
    assert (update.how, update.new_events) == ("updated", 9), "users 10 to 12 were there already"
    incremental = content(folder, TABLE)
    run_job(lambda: spark, folder, DOMAIN, TABLE, full=True)
    assert content(folder, TABLE) == incremental


def test_what_a_job_has_not_seen_stays(spark: SparkSession, folder: Path, tmp_path: Path) -> None:
    add(lambda: spark, read_movielens(movielens(tmp_path / "more", ratings(60))), folder, DOMAIN)
    maintain(spark, folder, DOMAIN, RATINGS.name, NOTHING)
    update = run_job(lambda: spark, folder, DOMAIN, TABLE)
    assert (update.how, update.new_events) == ("updated", 12)


def test_a_version_to_be_kept_stays(spark: SparkSession, folder: Path) -> None:
    kept = DeltaTable(folder / TABLE, version=1).to_pyarrow_table()
    done = maintain(spark, folder, DOMAIN, TABLE, NOTHING, keep=1)
    assert done.versions[0] <= 1
    assert DeltaTable(folder / TABLE, version=1).to_pyarrow_table().equals(kept)


def test_what_cannot_be_maintained_is_one_sentence(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(MarqueeError, match="no table movies in"):
        maintain(spark, tmp_path, DOMAIN, "movies")
    with pytest.raises(MarqueeError, match="cannot be kept for -1 days"):
        maintain(spark, tmp_path, DOMAIN, "movies", timedelta(days=-1))


def test_space_that_maintenance_takes_is_not_said_to_be_freed() -> None:
    grown, shrunk = (
        Maintained(TABLE, (2, 1), size, (0, 3)) for size in ((3_000_000, 5_500_000), (9_000_000, 2))
    )
    assert space_line([grown]).startswith("2.5 MB more on disk, as the files of older versions stay")
    assert space_line([shrunk]) == "9.0 MB freed"
    assert space_line([]) == "0.0 MB freed"
    assert space_line([grown, shrunk]) == "6.5 MB freed"


# --- what models and runs need ----------------------------------------------------------------------------


def record(home: Path, place: str, versions: dict[str, int]) -> Path:
    """A manifest or a summary that names versions."""
    file = home / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"format": 2, "versions": versions}))
    return file


def test_the_oldest_version_that_a_model_or_a_run_names_is_found_whatever_wrote_it(tmp_path: Path) -> None:
    record(tmp_path, "models/gbt/manifest.json", {"ratings": 4, "movies": 2})
    record(tmp_path, "reproduce/p/cells/honest/din/0/manifest.json", {"ratings": 3})
    record(tmp_path, "runs/r/summary.json", {"movies": 1, "quarantine": 5})
    (tmp_path / "runs/old").mkdir()
    (tmp_path / "runs/old/summary.json").write_text(json.dumps(dict.fromkeys(FIRST_FIELDS)))
    record(tmp_path, "lake/ratings/manifest.json", {"ratings": 0})
    assert recorded_versions(tmp_path) == ({"ratings": 3, "movies": 1, "quarantine": 5}, [])


def test_models_behind_a_link_say_which_versions_they_need(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    record(elsewhere, "gbt/manifest.json", {"ratings": 3})
    (home / "models").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(home)
    assert recorded_versions(home) == ({"ratings": 3}, [])


NO_RECORD: dict[str, Callable[[Path], object]] = {
    "half": lambda file: file.write_text(file.read_text()[:10]),
    "empty": lambda file: file.write_text(""),
    "other bytes": lambda file: file.write_bytes(b"\xff\xfe\x00"),
    "a list": lambda file: file.write_text("[]"),
    "versions of nothing": lambda file: file.write_text('{"versions": null}'),
    "versions in words": lambda file: file.write_text('{"versions": {"ratings": "3"}}'),
    "another word for versions": lambda file: file.write_text(
        file.read_text().replace("versions", "verskons")
    ),
    "nothing": lambda file: file.write_text("{}"),
    "nested too deeply": lambda file: file.write_text("[" * 200_000),
    "another version": lambda file: file.write_text(
        with_digest(file).replace('"ratings": 3', '"ratings": 8')
    ),
}


def with_digest(file: Path) -> str:
    """What a record says, with the digest that newer ones have."""
    said = json.loads(file.read_text())
    return json.dumps({**said, "digest": digest_of(said)})


@pytest.mark.parametrize("damage", NO_RECORD)
@pytest.mark.parametrize("place", ["models/gbt/manifest.json", "runs/r/summary.json"])
def test_what_does_not_say_which_versions_it_needs_is_named(damage: str, place: str, tmp_path: Path) -> None:
    record(tmp_path, "models/other/manifest.json", {"ratings": 4})
    file = record(tmp_path, place, {"ratings": 3})
    NO_RECORD[damage](file)
    assert recorded_versions(tmp_path) == ({"ratings": 4}, [file])


def test_an_artefact_without_its_manifest_is_named(tmp_path: Path) -> None:
    for name in ("inputs.json", "metrics.json"):
        record(tmp_path, f"models/gbt/{name}", {})
    assert recorded_versions(tmp_path) == ({}, [tmp_path / "models/gbt/manifest.json"])


class Heard(Stages):
    """Stages that keep the notes."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.usefixtures("spark")
def test_nothing_is_removed_while_a_manifest_cannot_be_read(folder: Path) -> None:
    settings = Settings(home=folder.parent)
    manifest = record(settings.home, "runs/r/models/gbt/manifest.json", {TABLE: 0})
    kept = DeltaTable(folder / TABLE, version=0).to_pyarrow_table()
    said = manifest.read_text()
    manifest.write_text("{")
    heard = Heard()
    (done,) = maintain_lake(settings, DOMAIN, [TABLE], NOTHING, heard)
    assert done.files[1] == 1, "what needs no version gone is done"
    assert [str(manifest) in note for note in heard.notes if "cannot be read" in note] == [True]
    manifest.write_text(said)
    maintain_lake(settings, DOMAIN, [TABLE], NOTHING, Heard())
    assert DeltaTable(folder / TABLE, version=0).to_pyarrow_table().equals(kept)
    manifest.unlink()
    maintain_lake(settings, DOMAIN, [TABLE], NOTHING, Heard())
    with pytest.raises(FileNotFoundError):
        DeltaTable(folder / TABLE, version=0).to_pyarrow_table()


def test_what_models_need_is_looked_up_while_nobody_else_writes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a training that ends in between would lose its tables."""
    held: list[str] = []

    @contextmanager
    def writing(home: Path) -> Iterator[None]:
        held.append(str(home))
        yield
        held.clear()

    def looked_up(home: Path) -> None:
        assert held == [str(home)]
        raise MarqueeError("seen")

    monkeypatch.setattr(app_maintain, "writing", writing)
    monkeypatch.setattr(app_maintain, "recorded_versions", looked_up)
    with pytest.raises(MarqueeError, match="seen"):
        maintain_lake(Settings(home=folder.parent), DOMAIN, [TABLE], NOTHING, Stages())
