"""The synthetic source: same seed, same content; MovieLens' shape; like-probabilities that hold."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.synthetic_resemblance import distances, figures, like, read_real, synthesise
from common.errors import MarqueeError
from pipelines.sources.generated import MARKER
from pipelines.sources.synthetic import SyntheticConfig, generate, job, read_synthetic
from pipelines.sources.synthetic.catalogue import GENRES, MOODS, catalogue, titles
from pipelines.sources.synthetic.config import MIN_RATINGS
from pipelines.sources.synthetic.posters import poster
from pipelines.sources.synthetic.ratings import BLOCK, HALF_STARS_SINCE, _draw_tastes, blocks, calibrate
from pipelines.sources.synthetic.users import END, START, plan_users
from tests.raw_rows import ENGINES, engine_named, no_spark

CONFIG = SyntheticConfig(ratings=21_000, users=2 * BLOCK + 88, movies=200, seed=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("synthetic") / "data"
    generate(no_spark, CONFIG, target)
    return target


@pytest.fixture(scope="module")
def ratings(folder: Path) -> pd.DataFrame:
    table: pd.DataFrame = pq.read_table(folder / job.RATINGS).to_pandas()
    return table


@pytest.fixture(scope="module")
def likelihood(folder: Path) -> pd.DataFrame:
    table: pd.DataFrame = pq.read_table(folder / job.LIKELIHOOD).to_pandas()
    return table


@pytest.fixture(scope="module")
def movies(folder: Path) -> pd.DataFrame:
    table: pd.DataFrame = pq.read_table(folder / job.MOVIES).to_pandas()
    return table


@pytest.fixture(scope="module")
def large() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Enough events for statistics, in memory: ratings, and their like-probabilities."""
    (ratings, _), likelihood = synthesise(SyntheticConfig(ratings=120_000, users=1_200, movies=800, seed=11))
    return ratings, likelihood


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- the same seed, the same content ----------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_same_config_gives_the_same_bytes(
    engine: str, request: pytest.FixtureRequest, folder: Path, tmp_path: Path
) -> None:
    """Processes of this machine and Spark's write the same."""
    with engine_named(engine, request) as start:
        generate(start, CONFIG, tmp_path / "again")
    assert contents(tmp_path / "again") == contents(folder)


def test_content_does_not_depend_on_how_the_blocks_are_dealt(folder: Path) -> None:
    """Computed here one by one from the last to the first, and by processes in files: the same rows."""
    calibration = calibrate(CONFIG, plan_users(CONFIG))
    pairs = [job.block_tables(CONFIG, calibration, block) for block in reversed(range(blocks(CONFIG)))]
    for number, name in enumerate((job.RATINGS, job.LIKELIHOOD)):
        computed = pa.concat_tables([pair[number] for pair in reversed(pairs)])
        parts = [pq.read_table(path) for path in sorted((folder / name).glob("*.parquet"))]
        assert len(parts) == blocks(CONFIG)
        assert pa.concat_tables(parts).equals(computed)


def test_the_cut_into_files_deals_every_block_and_poster_once() -> None:
    config = SyntheticConfig(ratings=30_000_000, users=300_000, movies=2_000)
    tasks = job.tasks(config)
    dealt = [unit for task in tasks if task.kind == job.RATINGS for unit in task.units]
    shown = [unit for task in tasks if task.kind == job.POSTERS for unit in task.units]
    assert dealt == list(range(blocks(config)))
    assert shown == [int(row) + 1 for row in np.flatnonzero(catalogue(config).has_poster)]
    assert sum(task.kind == job.RATINGS for task in tasks) == 30


def test_another_seed_gives_other_content(ratings: pd.DataFrame) -> None:
    (other, _), _ = synthesise(dataclasses.replace(CONFIG, seed=6))
    assert len(other) == len(ratings)
    assert not other["movie_id"].equals(ratings["movie_id"])


# --- MovieLens' shape --------------------------------------------------------------------------------------


def test_ratings_have_movielens_schema(ratings: pd.DataFrame) -> None:
    assert list(ratings.columns) == ["user_id", "movie_id", "rating", "timestamp"]
    assert len(ratings) == CONFIG.ratings
    assert set(ratings["rating"]) == set(np.arange(1, 11) / 2)
    assert ratings["timestamp"].dtype == np.int64
    assert ratings["timestamp"].between(START, END + 14 * 86_400).all()
    assert not ratings.duplicated(["user_id", "movie_id"]).any()
    assert set(ratings["user_id"]) == set(range(1, CONFIG.users + 1))
    assert ratings["movie_id"].between(1, CONFIG.movies).all()
    assert ratings.groupby("user_id").size().min() >= MIN_RATINGS


def test_nothing_is_rated_before_its_release(ratings: pd.DataFrame, movies: pd.DataFrame) -> None:
    rated = ratings.merge(movies, on="movie_id")
    assert (rated["release_year"] <= pd.to_datetime(rated["timestamp"], unit="s").dt.year).all()


def test_half_stars_come_late_as_in_movielens(ratings: pd.DataFrame) -> None:
    halves = ratings["rating"] % 1 != 0
    assert not halves[ratings["timestamp"] < HALF_STARS_SINCE].any()
    assert halves[ratings["timestamp"] >= HALF_STARS_SINCE].mean() > 0.3


def test_movies_have_titles_genres_and_years(movies: pd.DataFrame) -> None:
    assert list(movies["movie_id"]) == list(range(1, CONFIG.movies + 1))
    names = {genre.name for genre in GENRES}
    for genres in movies["genres"]:
        parts = genres.split("|") if genres else []
        assert parts == sorted(set(parts))
        assert names.issuperset(parts)
    assert movies["release_year"].between(1902, 2016).all()
    assert len(set(titles(5_000))) == 5_000


def test_a_third_share_user_and_second_with_another_rating(large: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    assert 0.25 < large[0].duplicated(["user_id", "timestamp"], keep=False).mean() < 0.4


@settings(max_examples=30, deadline=None)
@given(
    users=st.integers(1, 400),
    movies=st.integers(100, 400),
    mean=st.floats(20, 80),
    seed=st.integers(0, 2**32),
)
def test_activity_adds_up_to_exactly_what_was_asked(users: int, movies: int, mean: float, seed: int) -> None:
    total = max(int(users * mean), MIN_RATINGS * users)
    assume(total <= 0.25 * users * movies)
    try:
        count = plan_users(SyntheticConfig(ratings=total, users=users, movies=movies, seed=seed)).count
    except MarqueeError as error:  # only where the first users find too few movies
        assert "too many" in str(error)
        assert total > 0.15 * users * movies
        return
    assert count.sum() == total
    assert count.min() >= MIN_RATINGS
    assert count.max() <= movies


def test_resembles_the_real_sample(real_data: Path) -> None:
    real = read_real(real_data / "movielens-small")
    made, _ = synthesise(like(real, seed=0))
    bounds = {
        "ratings per user": 0.12,
        "ratings per rated movie": 0.16,
        "stars": 0.05,
        "seconds to the user's next rating": 0.06,
        "days on which a user rates": 0.1,
        "release year of rated movies": 0.15,
        "genres per movie": 0.03,
        "mean rating of a user": 0.1,
        "mean rating of a movie": 0.18,
        "largest difference: share of a star value": 0.03,
        "largest difference: share of a genre": 0.04,
    }
    apart = distances(real, made)
    assert apart.keys() == bounds.keys()
    assert {name: found for name, found in apart.items() if found > bounds[name]} == {}
    theirs, ours = figures(real), figures(made)
    off = {name: abs(theirs[name] - ours[name]) for name in theirs}
    assert off.pop("mean rating") < 0.12
    assert off.pop("last fifth's ratings by users seen before") < 0.12
    assert {name: found for name, found in off.items() if found > 0.06} == {}


# --- what is known of each event ---------------------------------------------------------------------------


def test_likelihood_is_about_the_same_events(ratings: pd.DataFrame, likelihood: pd.DataFrame) -> None:
    assert list(likelihood.columns) == ["user_id", "movie_id", "event_timestamp", "like_probability"]
    seconds = likelihood["event_timestamp"].astype("int64") // 10**6
    assert likelihood["event_timestamp"].dt.tz is not None
    for name, column in (("user_id", likelihood["user_id"]), ("movie_id", likelihood["movie_id"])):
        assert column.equals(ratings[name])
    assert seconds.equals(ratings["timestamp"])
    assert likelihood["like_probability"].between(0, 1, inclusive="neither").all()


def test_likelihood_is_calibrated(large: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    """In each tenth by probability, as many are liked as the probabilities say, within 4 standard errors."""
    ratings, likelihood = large
    p = likelihood["like_probability"]
    liked = ratings["rating"] >= 3.5
    tenths = pd.qcut(p, 10)
    error = (liked.groupby(tenths, observed=True).mean() - p.groupby(tenths, observed=True).mean()).abs()
    deviation = np.sqrt((p * (1 - p)).groupby(tenths, observed=True).mean() / tenths.value_counts(sort=False))
    assert (error < 4 * deviation).all()
    assert p.groupby(tenths, observed=True).mean().iloc[[0, -1]].between(0.02, 0.98).all()


def test_like_rate_is_what_was_aimed_at(large: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    assert abs((large[0]["rating"] >= 3.5).mean() - 0.62) < 0.03
    (few, _), _ = synthesise(SyntheticConfig(ratings=60_000, users=1_200, movies=400, like_rate=0.3))
    assert abs((few["rating"] >= 3.5).mean() - 0.3) < 0.03


def test_without_effects_all_likelihoods_are_alike() -> None:
    flat = SyntheticConfig(
        ratings=6_000,
        users=200,
        movies=200,
        user_strength=0,
        quality_strength=0,
        genre_strength=0,
        colour_strength=0,
    )
    p = synthesise(flat)[1]["like_probability"]
    assert np.ptp(p) < 1e-9
    assert abs(p.iloc[0] - flat.like_rate) < 1e-6


def spread_of_mean_saturation(config: SyntheticConfig) -> float:
    """Variance between users of the mean poster saturation that they rated."""
    (ratings, _), _ = synthesise(config)
    seen = pd.Series(catalogue(config).saturation[ratings["movie_id"] - 1])
    return float(seen.groupby(ratings["user_id"]).mean().var())


def test_taste_for_colour_shows_in_what_is_rated() -> None:
    config = SyntheticConfig(ratings=30_000, users=600, movies=400, seed=3)
    blind = dataclasses.replace(config, choice_by_colour=0.0)
    assert spread_of_mean_saturation(config) > 2 * spread_of_mean_saturation(blind)


def test_movies_without_poster_owe_nothing_to_colour() -> None:
    config = dataclasses.replace(CONFIG, poster_share=0.5)
    movies = catalogue(config)
    assert 0.35 < movies.has_poster.mean() < 0.65
    assert (movies.traits[~movies.has_poster, MOODS:] == 0).all()
    assert movies.traits[movies.has_poster, MOODS:].std() > 0.9


@pytest.mark.parametrize(
    ("drift", "low", "high"), [(0.0, 0.999999, 1.000001), (0.1, 0.2, 0.5), (1.0, -0.1, 0.1)]
)
def test_tastes_drift_as_fast_as_the_config_says(drift: float, low: float, high: float) -> None:
    """Correlation of tastes twenty years apart, which is (1 - drift)^(20 / 2)."""
    config = dataclasses.replace(CONFIG, taste_drift=drift)
    tastes = _draw_tastes(config, 4_000, np.random.default_rng(0))
    correlation = np.corrcoef(tastes[:, 0, 0], tastes[:, 20, 0])[0, 1]
    assert low <= correlation <= high
    assert abs(tastes[:, 20, 0].std() / tastes[:, 0, 0].std() - 1) < 0.06


# --- posters -----------------------------------------------------------------------------------------------


def test_posters_are_jpegs_whose_colours_follow_the_catalogue(folder: Path) -> None:
    movies = catalogue(CONFIG)
    paths = {int(path.stem): path for path in (folder / job.POSTERS).iterdir()}
    assert set(paths) == set(np.flatnonzero(movies.has_poster) + 1)
    measured = []
    for movie_id in sorted(paths):
        with Image.open(paths[movie_id]) as picture:
            assert picture.format == "JPEG"
            assert picture.size == (CONFIG.poster_width, CONFIG.poster_height)
            hsv = np.asarray(picture.convert("HSV"), dtype=float)
            rgb = np.asarray(picture.convert("RGB"), dtype=float)
        warm = rgb[..., 0].mean() - rgb[..., 2].mean()
        measured.append((hsv[..., 1].mean(), hsv[..., 2].mean(), warm))
    meant = movies.traits[np.array(sorted(paths)) - 1, MOODS:]
    for colour in range(meant.shape[1]):
        assert np.corrcoef(np.array(measured)[:, colour], meant[:, colour])[0, 1] > 0.95


def test_colour_goes_with_genre() -> None:
    movies = catalogue(SyntheticConfig(movies=1_500))
    with_genre = dict(zip([genre.name for genre in GENRES], movies.has_genre.T, strict=True))
    assert (
        movies.brightness[with_genre["Children"]].mean()
        > movies.brightness[with_genre["Horror"]].mean() + 0.05
    )
    assert (
        movies.saturation[with_genre["Animation"]].mean()
        > movies.saturation[with_genre["Drama"]].mean() + 0.05
    )


def test_a_poster_does_not_depend_on_its_neighbours() -> None:
    movie = int(np.flatnonzero(catalogue(CONFIG).has_poster)[7]) + 1
    alone = poster(CONFIG, movie)
    poster(CONFIG, movie + 1)
    assert poster(CONFIG, movie) == alone
    assert poster(CONFIG, movie + 1) != alone


# --- whole or not at all -----------------------------------------------------------------------------------


def test_same_config_is_not_generated_twice_and_another_replaces_it(
    tmp_path: Path,
) -> None:
    small = SyntheticConfig(ratings=1_200, users=50, movies=100, poster_share=0.2)
    target = tmp_path / "data"
    told: list[tuple[str, int, int]] = []
    generate(no_spark, small, target, on_progress=lambda *progress: told.append(progress))
    _, done, total = told[-1]
    assert done == total > 0
    before = (target / MARKER).stat().st_ino
    generate(no_spark, small, target)
    assert (target / MARKER).stat().st_ino == before
    generate(no_spark, dataclasses.replace(small, ratings=1_100), target)
    assert pq.read_table(target / job.RATINGS).num_rows == 1_100
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_what_the_disk_refuses_in_a_task_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_movies: Callable[[SyntheticConfig, Path], None] = job._write_movies

    def then_lose_the_posters(config: SyntheticConfig, folder: Path) -> None:
        write_movies(config, folder)
        (folder.parent / job.POSTERS).rmdir()

    monkeypatch.setattr(job, "_write_movies", then_lose_the_posters)
    small = SyntheticConfig(ratings=1_200, users=50, movies=100)
    with pytest.raises(MarqueeError, match=r"Cannot write .*data: No such file or directory"):
        generate(no_spark, small, tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(MarqueeError, match="holds something else"):
        generate(no_spark, CONFIG, tmp_path)
    with pytest.raises(MarqueeError, match="it is a file"):
        generate(no_spark, CONFIG, tmp_path / "thesis.txt")
    with pytest.raises(MarqueeError, match="No synthetic data"):
        read_synthetic(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"users": 0}, "users=0"),
        ({"movies": 5}, "movies=5"),
        ({"ratings": -1}, "ratings=-1"),
        ({"seed": -1}, "seed=-1"),
        ({"like_rate": 1.5}, "like_rate=1.5"),
        ({"colour_strength": float("nan")}, "colour_strength=nan"),
        ({"taste_drift": -0.1}, "taste_drift=-0.1"),
        ({"ratings": 1_000, "users": 100}, "ask for 2,000 ratings or more, or for 50 users at most"),
        ({"ratings": 100_000, "users": 100}, "nobody rates a movie twice"),
    ],
)
def test_a_config_that_cannot_be_is_refused(values: dict[str, float], sentence: str) -> None:
    with pytest.raises(MarqueeError, match=sentence):
        SyntheticConfig(**values)  # type: ignore[arg-type]
