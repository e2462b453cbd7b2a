"""How the generator's distributions compare with a real MovieLens sample, side by side.

    python benchmarks/synthetic_resemblance.py [--real FOLDER] [--seeds N] [--json FILE] [--quick]

The synthetic data have as many ratings, users and movies as the real sample, so that like stands beside like;
a second table shows the defaults of the main job. No Spark: the generator's functions are pure.
"""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.sources.synthetic.catalogue import catalogue
from pipelines.sources.synthetic.config import SyntheticConfig
from pipelines.sources.synthetic.job import block_tables
from pipelines.sources.synthetic.ratings import blocks, calibrate
from pipelines.sources.synthetic.users import plan_users

REAL = Path(os.environ.get("MARQUEE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
LIKED = 3.5
TEST_SHARE = 0.2
VISIT_GAP = 3600
Sample = tuple[pd.DataFrame, pd.DataFrame]
"""Ratings (user_id, movie_id, rating, timestamp) and movies (movie_id, genres, release_year)."""


def read_real(folder: Path) -> Sample:
    """`ratings.csv` and `movies.csv` of a GroupLens archive."""
    ratings = pd.read_csv(folder / "ratings.csv")
    ratings.columns = pd.Index(["user_id", "movie_id", "rating", "timestamp"])
    movies = pd.read_csv(folder / "movies.csv").rename(columns={"movieId": "movie_id"})
    movies["release_year"] = movies["title"].str.extract(r"\((\d{4})\)\s*$")[0].astype(float)
    movies["genres"] = movies["genres"].replace("(no genres listed)", "")
    return ratings, movies[["movie_id", "genres", "release_year"]]


def synthesise(config: SyntheticConfig) -> tuple[Sample, pd.DataFrame]:
    """A synthetic sample in memory, and its like-probabilities."""
    calibration = calibrate(config, plan_users(config))
    pairs = [block_tables(config, calibration, block) for block in range(blocks(config))]
    ratings = pa.concat_tables([pair[0] for pair in pairs]).to_pandas()
    likelihood = pa.concat_tables([pair[1] for pair in pairs]).to_pandas()
    movies = catalogue(config)
    listing = {
        "movie_id": np.arange(1, config.movies + 1),
        "genres": movies.genres(),
        "release_year": movies.release_year,
    }
    return (ratings, pd.DataFrame(listing)), likelihood


def gini(counts: np.ndarray) -> float:
    """0 where all are equally popular, near 1 where one has all."""
    x = np.sort(counts)
    n = len(x)
    return float((2 * np.arange(1, n + 1) - n - 1) @ x / (n * x.sum()))


def ks_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Kolmogorov-Smirnov: the largest difference between two empirical distribution functions."""
    grid = np.union1d(a, b)
    below_a = np.searchsorted(np.sort(a), grid, side="right") / len(a)
    below_b = np.searchsorted(np.sort(b), grid, side="right") / len(b)
    return float(np.abs(below_a - below_b).max())


def activity(sample: Sample) -> np.ndarray:
    return sample[0].groupby("user_id").size().to_numpy()


def popularity(sample: Sample) -> np.ndarray:
    return sample[0].groupby("movie_id").size().to_numpy()


def stars(sample: Sample) -> np.ndarray:
    return sample[0]["rating"].to_numpy()


def pauses(sample: Sample) -> np.ndarray:
    """Seconds between one rating and the user's next."""
    ordered = sample[0].sort_values(["user_id", "timestamp"])
    return ordered.groupby("user_id")["timestamp"].diff().dropna().to_numpy()


def active_days(sample: Sample) -> np.ndarray:
    return (sample[0]["timestamp"] // 86_400).groupby(sample[0]["user_id"]).nunique().to_numpy()


def rated_years(sample: Sample) -> np.ndarray:
    return sample[0].merge(sample[1], on="movie_id")["release_year"].dropna().to_numpy()


def genres_per_movie(sample: Sample) -> np.ndarray:
    genres = sample[1]["genres"]
    return np.where(genres == "", 0, genres.str.count(r"\|") + 1)


def user_means(sample: Sample) -> np.ndarray:
    return sample[0].groupby("user_id")["rating"].mean().to_numpy()


def movie_means(sample: Sample) -> np.ndarray:
    """Of movies with 50 ratings or more."""
    stats = sample[0].groupby("movie_id")["rating"].agg(["mean", "size"])
    return stats.loc[stats["size"] >= 50, "mean"].to_numpy()


DISTRIBUTIONS: dict[str, tuple[Callable[[Sample], np.ndarray], tuple[float, ...]]] = {
    "ratings per user": (activity, (0, 0.25, 0.5, 0.75, 0.9, 0.99, 1)),
    "ratings per rated movie": (popularity, (0.5, 0.75, 0.9, 0.99, 1)),
    "stars": (stars, (0.1, 0.25, 0.5, 0.75, 0.9)),
    "seconds to the user's next rating": (pauses, (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)),
    "days on which a user rates": (active_days, (0.5, 0.75, 0.9, 0.99)),
    "release year of rated movies": (rated_years, (0.05, 0.25, 0.5, 0.75, 0.95)),
    "genres per movie": (genres_per_movie, (0.25, 0.5, 0.75, 0.95)),
    "mean rating of a user": (user_means, (0.05, 0.25, 0.5, 0.75, 0.95)),
    "mean rating of a movie": (movie_means, (0.05, 0.25, 0.5, 0.75, 0.95)),
}
"""What is compared as a whole distribution, and at which quantiles it is shown."""


def figures(sample: Sample) -> dict[str, float]:
    """Single numbers."""
    ratings, _ = sample
    counts = np.sort(popularity(sample))[::-1]
    gaps = pauses(sample)
    by_time = ratings.sort_values("timestamp", kind="stable")["user_id"].to_numpy()
    cut = int((1 - TEST_SHARE) * len(by_time))
    return {
        "mean rating": float(ratings["rating"].mean()),
        "liked (3.5 stars or more)": float((ratings["rating"] >= LIKED).mean()),
        "half stars": float((ratings["rating"] % 1 != 0).mean()),
        "Gini coefficient of movies' popularity": gini(counts),
        "ratings of the top 1 % of movies": float(counts[: len(counts) // 100].sum() / counts.sum()),
        "ratings of the top 10 % of movies": float(counts[: len(counts) // 10].sum() / counts.sum()),
        "ratings in the same second as another of the user": float(
            ratings.duplicated(["user_id", "timestamp"], keep=False).mean()
        ),
        "pauses over an hour": float((gaps > VISIT_GAP).mean()),
        "users active on one day only": float((active_days(sample) == 1).mean()),
        "last fifth's ratings by users seen before": float(np.isin(by_time[cut:], by_time[:cut]).mean()),
    }


def star_shares(sample: Sample) -> pd.Series:
    return sample[0]["rating"].value_counts(normalize=True).sort_index()


def genre_shares(sample: Sample) -> pd.Series:
    """Share of movies that have each genre."""
    names = sample[1]["genres"].str.split("|").explode()
    return (names[names != ""].value_counts() / len(sample[1])).sort_index()


def distances(real: Sample, made: Sample) -> dict[str, float]:
    """KS distance of each distribution, and the largest difference of the shares."""
    found = {name: ks_distance(of(real), of(made)) for name, (of, _) in DISTRIBUTIONS.items()}
    for name, shares in (("share of a star value", star_shares), ("share of a genre", genre_shares)):
        both = pd.concat([shares(real), shares(made)], axis=1).fillna(0)
        found[f"largest difference: {name}"] = float((both.iloc[:, 0] - both.iloc[:, 1]).abs().max())
    return found


def like(real: Sample, seed: int) -> SyntheticConfig:
    """The config with the real sample's numbers of ratings, users and movies."""
    ratings, movies = real
    return SyntheticConfig(
        ratings=len(ratings), users=ratings["user_id"].nunique(), movies=len(movies), seed=seed
    )


def print_comparison(title: str, real: Sample, made: Sample) -> None:
    print(f"\n## {title}\n\n| | real | synthetic |\n|---|---|---|")
    theirs, ours = figures(real), figures(made)
    for name in theirs:
        print(f"| {name} | {theirs[name]:.3f} | {ours[name]:.3f} |")
    print("\n| quantiles | at | real | synthetic | KS distance |\n|---|---|---|---|---|")
    apart = distances(real, made)
    for name, (of, at) in DISTRIBUTIONS.items():
        shown = (" ".join(f"{x:.4g}" for x in np.quantile(of(sample), at)) for sample in (real, made))
        print(f"| {name} | {' '.join(f'{q:g}' for q in at)} | {' | '.join(shown)} | {apart[name]:.3f} |")
    print("\n| stars | real | synthetic |\n|---|---|---|")
    for star, share in star_shares(real).items():
        print(f"| {star} | {share:.3f} | {star_shares(made).get(star, 0.0):.3f} |")
    print("\n| genre | real | synthetic |\n|---|---|---|")
    shares = genre_shares(made)
    for genre, share in genre_shares(real).items():
        print(f"| {genre} | {share:.3f} | {shares.get(genre, 0.0):.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real", type=Path, default=REAL / "movielens-small", help="folder with ratings.csv")
    parser.add_argument(
        "--seeds", type=int, default=5, help="synthetic samples to compare (the first is shown)"
    )
    parser.add_argument("--quick", action="store_true", help="one seed, no table for the defaults")
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    options = parser.parse_args()
    real = read_real(options.real)
    seeds = 1 if options.quick else options.seeds
    samples = [synthesise(like(real, seed))[0] for seed in range(seeds)]
    config = like(real, 0)
    sizes = f"{config.ratings:,} ratings, {config.users:,} users, {config.movies:,} movies"
    print_comparison(f"As large as the real sample ({sizes}; seed 0)", real, samples[0])
    rows = pd.DataFrame([{**distances(real, sample), **figures(sample)} for sample in samples])
    result: dict[str, Any] = {"real": figures(real), "synthetic": rows.mean().to_dict(), "seeds": seeds}
    if seeds > 1:
        print(f"\n## Over {seeds} seeds\n\n| | mean | least | most |\n|---|---|---|---|")
        for name, values in rows.items():
            print(f"| {name} | {values.mean():.3f} | {values.min():.3f} | {values.max():.3f} |")
    if not options.quick:
        default = SyntheticConfig()
        sizes = f"{default.ratings:,} ratings, {default.users:,} users, {default.movies:,} movies"
        made = synthesise(default)[0]
        print_comparison(f"The main job's defaults ({sizes}), beside the same real sample", real, made)
        result["default"] = figures(made)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
