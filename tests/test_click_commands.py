"""Commands about click logs, and commands about ratings in a home that has click logs, too."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from app.describe import describe_lake
from app.facts import refusals
from app.ingest import ingest_source
from app.maintain import maintain_lake
from app.sources import DOMAIN_OF, SourceOptions
from app.validate import validate_lake
from cli.options import IngestSource, SourceName
from common.progress import Silence, StageCost, Stages
from common.settings import Settings
from feature_repo.domains.clicks import LOGS
from feature_repo.domains.clicks.avazu import AVAZU
from feature_repo.domains.clicks.criteo import CRITEO
from feature_repo.domains.movies import DOMAIN
from lake.tables import newest_version
from pipelines.ingest import ingest
from pipelines.sources.movielens import read_movielens
from tests.marquee import refused
from tests.raw_rows import no_spark, table_rows
from tests.test_click_sources import CRITEO_LINE, criteo_line, one_bad, written


@dataclass
class Outcomes(Silence):
    """Keeps how stages ended."""

    said: dict[str, str] = field(default_factory=dict)

    def done(self, cost: StageCost, outcome: str) -> None:
        self.said[cost.name] = outcome


def movielens(folder: Path) -> Path:
    folder.mkdir()
    written(folder / "movies.csv", ["movieId,title,genres", "1,One (2001),War"])
    written(folder / "ratings.csv", ["userId,movieId,rating,timestamp", "1,1,4,964982703", "1,2,4,964982703"])
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """A home with a row of ratings and of two logs, and one of each in the quarantine."""
    settings = Settings(home=tmp_path / "home")
    for log in (CRITEO, AVAZU):
        ingest(no_spark, one_bad(log, tmp_path), settings.lake, log)
    ingest(no_spark, read_movielens(movielens(tmp_path / "ml")), settings.lake, DOMAIN)
    return settings


def test_every_source_fills_a_domain() -> None:
    assert set(DOMAIN_OF) == set(IngestSource)
    assert {name for name, domain in DOMAIN_OF.items() if domain == "movies"} == set(SourceName)


def test_ingest_says_how_many_rows_there_are_and_how_many_were_clicked(tmp_path: Path) -> None:
    lines = [CRITEO_LINE, criteo_line(click="0"), criteo_line(click="0"), "bad"]
    options = SourceOptions("criteo", written(tmp_path / "log", lines))
    heard = Outcomes()
    ingest_source(Settings(home=tmp_path / "home"), CRITEO, options, Stages(heard))
    assert heard.said["ingest"] == "3 rows of clicks_criteo; 1 row quarantined; 33.33 % clicked"


def test_ratings_and_logs_keep_one_anothers_quarantine(home: Settings) -> None:
    found = sorted(row["table"] for row in table_rows(home.lake, "quarantine"))
    assert found == ["clicks_avazu", "clicks_criteo", "ratings"]


def test_what_a_domain_refused_is_shown_with_it_alone(home: Settings, tmp_path: Path) -> None:
    assert [case.table for case in refusals(home.lake, DOMAIN, "1GB")] == ["ratings"]
    report = validate_lake(home, AVAZU, tmp_path / "page", Stages())
    assert report.passed
    assert [(case.table, case.rows) for case in report.quarantine or ()] == [("clicks_avazu", 1)]
    assert "clicks_avazu" in (tmp_path / "page" / "validation.html").read_text()


def test_tables_of_logs_are_described_where_they_are_there(home: Settings, tmp_path: Path) -> None:
    found = describe_lake(home, DOMAIN, LOGS.values())
    assert {name for name, facts in found.items() if facts} >= {"ratings", "clicks_criteo", "clicks_avazu"}
    assert "clicks_synthetic" not in found
    assert "clicks_criteo" not in describe_lake(Settings(home=tmp_path), DOMAIN, LOGS.values())


@pytest.mark.usefixtures("spark")
def test_maintenance_leaves_a_log_in_its_order(home: Settings) -> None:
    (done,) = maintain_lake(home, DOMAIN, ["clicks_criteo"], timedelta(0), Stages(), LOGS.values())
    assert done.table == "clicks_criteo"
    assert newest_version(home.lake, "clicks_criteo") <= 2, "nothing but the vacuum's two entries"


REFUSED = {
    "--source criteo": "needs --path",
    "--source criteo --path LOG --posters LOG": "--posters belongs to",
    "--source avazu --path LOG --first-movies 5": "--first-movies belongs to",
    "--source criteo --path LOG --add": "Nothing can be added to clicks_criteo",
    "--source avazu --path LOG": "expected the header",
    "--source synthetic-clicks --path LOG": "--path belongs to",
    "--source criteo --path LOG --rows 5": "--rows belongs to",
    "--source criteo --path ABSENT": "There is no file or folder",
}


@pytest.mark.parametrize("options", REFUSED)
def test_options_that_do_not_fit_a_log_are_one_sentence_before_a_home_is_made(
    options: str, tmp_path: Path
) -> None:
    log = written(tmp_path / "log", [CRITEO_LINE])
    places = {"LOG": str(log), "ABSENT": str(tmp_path / "absent")}
    words = [places.get(word, word) for word in options.split()]
    assert REFUSED[options] in refused(tmp_path / "home", "pipeline", "ingest", *words)
    assert not (tmp_path / "home").exists()


def test_validating_a_log_that_is_not_there_says_what_to_run(tmp_path: Path) -> None:
    said = refused(tmp_path, "validate", "--domain", "criteo")
    assert "There is no table clicks_criteo" in said
    assert said.endswith("run `marquee pipeline ingest` with its --source first.")


def test_an_unknown_domain_is_refused(tmp_path: Path) -> None:
    assert "did you mean avazu?" in refused(tmp_path, "validate", "--domain", "avasu")
