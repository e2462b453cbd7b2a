"""A small data set in MovieLens' layout, drawn by the tests themselves."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

GENRES = ("Action", "Comedy", "Drama", "Horror", "Romance", "Sci-Fi")


def write_small_movielens(
    folder: Path, users: int = 60, movies: int = 80, seed: int = 0
) -> tuple[Path, Path]:
    """Write `ratings.csv`, `movies.csv` and posters; give the data folder and the posters' folder."""
    random = np.random.default_rng(seed)
    data, posters = folder / "data", folder / "posters"
    data.mkdir(parents=True)
    posters.mkdir()
    with (data / "movies.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["movieId", "title", "genres"])
        for movie in range(1, movies + 1):
            genres = random.choice(GENRES, size=random.integers(1, 4), replace=False)
            writer.writerow([movie, f"Film, No. {movie} ({1950 + movie % 60})", "|".join(sorted(genres))])
            colour = random.integers(0, 256, size=(24, 16, 3), dtype=np.uint8)
            if movie % 10:
                Image.fromarray(colour).save(posters / f"{movie}.jpg", quality=90)
    with (data / "ratings.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["userId", "movieId", "rating", "timestamp"])
        for user in range(1, users + 1):
            rated = random.choice(movies, size=random.integers(20, movies), replace=False) + 1
            taste = random.normal(3.4, 0.5)
            start = 900_000_000 + int(random.integers(0, 300_000_000))
            for position, movie in enumerate(rated):
                stars = np.clip(
                    round((taste + (movie % 7) / 4 - 0.7 + random.normal(0, 0.7)) * 2) / 2, 0.5, 5
                )
                # Three ratings a second, so that instants are shared.
                writer.writerow([user, movie, stars, start + position // 3 * 60])
    return data, posters
