"""A home that was made before a column was declared, or whose registry was: one sentence says what to run."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from deltalake import DeltaTable, write_deltalake

from app.lookup import lookup
from app.report import feature_figures
from common.errors import MarqueeError
from common.settings import Settings
from feature_repo import store
from feature_repo.arrow import arrow_schema_of
from feature_repo.define.domain import Domain
from feature_repo.define.table import QUARANTINE, QUARANTINE_COLUMNS
from feature_repo.domains.movies import DOMAIN
from lake.tables import newest_version
from pipelines.ingest import not_yet
from tests.audit_lake import build_home, movies, overwrite, press
from tests.marquee import in_process, refused
from tests.test_movielens import ml_100k_layout
from tests.toy_domain import PRESS, READER_STATS
from training.data.dataset import point_in_time
from training.data.labels import read_labels
from training.data.prepared import prepare
from training.recipe import recipe_of


def take_away(home: Path, name: str, *columns: str) -> None:
    """Leave a table of the lake as it was before these columns were declared."""
    rows = DeltaTable(home / "lake" / name).to_pyarrow_table().drop_columns(list(columns))
    write_deltalake(home / "lake" / name, rows, mode="overwrite", schema_mode="overwrite")


def before_words(domain: Domain) -> Domain:
    """The press before it was declared how long the articles are that a reader reads."""
    kept = tuple(each for each in READER_STATS.features if getattr(each, "of", "") != "words")
    older = replace(READER_STATS, features=kept)
    views = tuple(older if view == READER_STATS else view for view in domain.views)
    return replace(domain, views=views, services=dict.fromkeys(domain.services, views))


WORDS = ["reader_words_mean", "reader_words_std"]


@pytest.fixture
def papers(tmp_path: Path) -> Settings:
    """A home of the press, applied."""
    build_home(tmp_path, press())
    return Settings(home=tmp_path)


def test_a_table_without_a_declared_column_is_named_before_any_work(tmp_path: Path) -> None:
    build_home(tmp_path, movies())
    take_away(tmp_path, "movie_content", "movie_genres")
    for command in ("features materialize", "audit leakage", "audit consistency"):
        sentence = refused(tmp_path, *command.split())
        assert f"The table of view movie_content in {tmp_path / 'lake'} lacks movie_genres: " in sentence
        assert sentence.endswith("compute it again (`marquee pipeline run --full movie_content`).")


def test_where_one_table_lacks_a_column_none_is_sent(papers: Settings) -> None:
    take_away(papers.home, "reader_stats", *WORDS)
    with pytest.raises(MarqueeError, match=f"reader_stats in .* lacks {', '.join(WORDS)}: compute"):
        store.materialize(papers)
    with pytest.raises(MarqueeError, match="Nothing is online yet"):
        lookup(store.open_store(papers), None, {"reader_id": 1})


def test_a_service_applied_before_a_column_was_declared_is_not_trained_on(papers: Settings) -> None:
    opened, recipe = store.open_store(papers), recipe_of(PRESS, "din")
    assert prepare(opened, papers.lake, PRESS, recipe).table.num_rows > 100
    store.apply(papers, before_words(PRESS))
    remedy = "run `marquee pipeline run`, then `marquee features apply`"
    with pytest.raises(MarqueeError, match=f"has press_v1 without {', '.join(WORDS)}: {remedy}"):
        prepare(store.open_store(papers), papers.lake, PRESS, recipe)


def test_figures_are_of_the_columns_that_the_registry_and_the_recorded_tables_have(papers: Settings) -> None:
    whole = DeltaTable(papers.lake / "reader_stats").to_pyarrow_table()
    take_away(papers.home, "reader_stats", *WORDS)
    recorded = {name: newest_version(papers.lake, name) for name in PRESS.tables}
    write_deltalake(papers.lake / "reader_stats", whole, mode="overwrite", schema_mode="overwrite")
    newest = {name: newest_version(papers.lake, name) for name in PRESS.tables}
    views = len(feature_figures(papers, PRESS, newest))
    assert len(feature_figures(papers, PRESS, recorded)) == views
    store.apply(papers, before_words(PRESS))
    assert len(feature_figures(papers, PRESS, newest)) == views


def test_of_recorded_versions_those_features_are_joined_that_they_had(papers: Settings) -> None:
    later = DeltaTable(papers.lake / "reader_stats").to_pyarrow_table()
    take_away(papers.home, "reader_stats", *WORDS)
    recorded = store.table_versions(store.open_store(papers))
    write_deltalake(papers.lake / "reader_stats", later, mode="overwrite", schema_mode="overwrite")
    labels = read_labels(papers.lake, PRESS).table
    now = point_in_time(store.open_store(papers), PRESS, "press_v1", labels)
    then = point_in_time(store.open_store(papers, recorded), PRESS, "press_v1", labels)
    assert set(now.column_names) - set(then.column_names) == set(WORDS)
    assert then.equals(now.select(then.column_names))
    with pytest.raises(MarqueeError, match=rf"recorded versions .* press_v1 have no {', '.join(WORDS)} yet"):
        prepare(
            store.open_store(papers, recorded),
            papers.lake,
            PRESS,
            recipe_of(PRESS, "din"),
            versions={**recorded, PRESS.events.name: 0},
        )


def test_a_rating_that_cannot_go_online_is_not_taken_in(tmp_path: Path) -> None:
    build_home(tmp_path, movies())
    overwrite(tmp_path, QUARANTINE, arrow_schema_of(QUARANTINE_COLUMNS).empty_table())
    store.open_store(Settings(home=tmp_path)).teardown()  # type: ignore[no-untyped-call]
    tables = [*DOMAIN.tables, QUARANTINE]
    before = [newest_version(tmp_path / "lake", name) for name in tables]
    for movie, rating in ((3, 2.5), (77, 4)):  # the latter would be quarantined
        sentence = refused(tmp_path, "features", "push", "--user", 2, "--movie", movie, "--rating", rating)
        assert "The registry has no views yet: run marquee features apply first." in sentence
    assert [newest_version(tmp_path / "lake", name) for name in tables] == before


# --- before users were declared --------------------------------------------------------------------------


def without_users(domain: Domain) -> Domain:
    """The movies before users were declared."""
    sources = tuple(table for table in domain.sources if table.name != "users")
    views = tuple(view for view in domain.views if view.name != "user_profile")
    services = {
        name: used
        for name, used in domain.services.items()
        if "user_profile" not in {view.name for view in used}
    }
    return replace(domain, sources=sources, views=views, services=services)


@pytest.fixture(scope="module")
def before_users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that was made, and brought online, before users were declared."""
    home = tmp_path_factory.mktemp("before")
    world = movies(count=60)
    build_home(home, replace(world, domain=without_users(DOMAIN)))
    overwrite(home, QUARANTINE, arrow_schema_of(QUARANTINE_COLUMNS).empty_table())
    store.materialize(Settings(home=home))
    return home


@pytest.fixture
def older(before_users: Path, tmp_path: Path) -> Path:
    """That home, to be changed."""
    home = tmp_path / "home"
    shutil.copytree(before_users, home)
    return home


def ratings_of(home: Path) -> int:
    return int(DeltaTable(home / "lake" / "ratings").to_pyarrow_table().num_rows)


def test_an_older_home_says_what_to_run(older: Path) -> None:
    remedy = "run `marquee pipeline run` first."
    assert refused(older, "validate").endswith(f"which an earlier version of Marquee made: {remedy}")
    for audit in ("leakage", "consistency"):
        assert refused(older, "audit", audit).endswith(
            "The lake lacks users, user_profile: run marquee pipeline run."
        )
    assert "The registry has no iarm_v1 yet: run `marquee pipeline run`, then" in refused(
        older, "train", "deepfm", "--service", "iarm_v1"
    )
    assert in_process(older, "features", "apply").code == 0
    assert "build it first (marquee pipeline run)" in refused(older, "features", "materialize")
    assert in_process(older, "features", "lookup", "--user", 1).code == 0


def test_an_older_home_is_brought_up_to_date_by_the_pipelines(older: Path) -> None:
    ratings = ratings_of(older)
    push = ("features", "push", "--user", 1, "--movie", 3, "--rating", 4)
    assert in_process(older, *push).code == 0, "ratings need no users"
    for command in ("features apply", "pipeline run", "features materialize", "validate"):
        done = in_process(older, *command.split())
        assert done.code == 0, done
    assert ratings_of(older) == ratings + 1
    for name in ("users", "user_profile"):
        assert DeltaTable(older / "lake" / name).to_pyarrow_table().num_rows == 0
    assert "joins user_profile, which has no rows" in refused(
        older, "train", "deepfm", "--service", "iarm_v1"
    )


def test_what_is_added_to_an_older_home_keeps_what_it_has(older: Path, tmp_path: Path) -> None:
    ml_100k_layout(tmp_path)
    (tmp_path / "u.user").write_text("1|24|F|writer|85711\n")
    ratings = ratings_of(older)
    done = in_process(older, "pipeline", "ingest", "--add", "--source", "movielens", "--path", tmp_path)
    assert done.code == 0, done
    assert ratings_of(older) > ratings
    (row,) = DeltaTable(older / "lake" / "users").to_pyarrow_table().to_pylist()
    assert row["occupation"] == "writer"


def test_a_table_that_was_lost_is_not_taken_for_a_later_one(older: Path) -> None:
    assert not_yet(older / "lake", DOMAIN) == [DOMAIN.tables["users"]]
    shutil.rmtree(older / "lake" / "posters")
    assert not_yet(older / "lake", DOMAIN) == [DOMAIN.tables["users"]]
    assert "There is no table posters in" in refused(older, "pipeline", "run")
    shutil.rmtree(older / "lake" / "ratings")
    assert not_yet(older / "lake", DOMAIN) == []
