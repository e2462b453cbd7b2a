"""What a synthetic data set is made of."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from common.errors import MarqueeError

GENERATOR = 2
"""Number of the recipe: it grows whenever the same config would give other content."""
MIN_RATINGS = 20
"""Ratings of the least active user, as in MovieLens."""
MIN_MOVIES = 100
"""So that even the first users find 20 movies."""
MAX_DENSITY = 0.25
"""Largest share of all (user, movie) pairs that may be rated."""


@dataclass(frozen=True)
class SyntheticConfig:
    """How much to generate, and how strong each effect is.

    The like-probability of an event is the sigmoid of a sum of terms; `*_strength` is each term's standard
    deviation, in logits, over users and movies drawn at random.

    Args:
        ratings: exactly so many are generated.
        users: ids 1 to this; each has at least 20 ratings.
        movies: ids 1 to this. Some may stay unrated.
        seed: same config, same content.
        like_rate: share of ratings of at least 3.5 stars that is aimed at.
        user_strength: of the user's bias.
        quality_strength: of the movie's quality.
        genre_strength: of the user's taste over genres, met by the movie's genres.
        colour_strength: of the user's taste over poster colour, met by the movie's poster.
        choice_by_genre, choice_by_colour: how strongly the two tastes decide what is rated at all: the
            multiple of the like-logit's term that enters the log-odds of a movie to be chosen. At 0, people
            choose by popularity alone.
        taste_drift: share of a taste's variance that is new each year.
        colour_by_genre: share of the posters' colour variance that goes with genres; the
            rest is the movie's own.
        poster_share: share of movies that have a poster.
        poster_width, poster_height: in pixels.

    Raises:
        MarqueeError: a value is out of its range, or the numbers do not fit together.
    """

    ratings: int = 250_000
    users: int = 2_000
    movies: int = 1_500
    seed: int = 7
    like_rate: float = 0.62
    user_strength: float = 0.6
    quality_strength: float = 1.1
    genre_strength: float = 0.5
    colour_strength: float = 0.9
    choice_by_genre: float = 1.3
    choice_by_colour: float = 1.3
    taste_drift: float = 0.05
    colour_by_genre: float = 0.3
    poster_share: float = 0.97
    poster_width: int = 92
    poster_height: int = 138

    def __post_init__(self) -> None:
        bounds: dict[str, tuple[float, float]] = {
            "users": (1, 2**31 - 1),
            "movies": (MIN_MOVIES, 10**6),
            "ratings": (MIN_RATINGS, 2**40),
            "seed": (0, 2**63 - 1),
            "like_rate": (0.05, 0.95),
            "user_strength": (0, 5),
            "quality_strength": (0, 5),
            "genre_strength": (0, 5),
            "colour_strength": (0, 5),
            "choice_by_genre": (0, 5),
            "choice_by_colour": (0, 5),
            "taste_drift": (0, 1),
            "colour_by_genre": (0, 1),
            "poster_share": (0, 1),
            "poster_width": (16, 2000),
            "poster_height": (16, 2000),
        }
        check_bounds(self, bounds, "Synthetic data")
        if self.ratings < MIN_RATINGS * self.users:
            raise MarqueeError(
                f"{self.ratings:,} ratings are too few for {self.users:,} users, who give at least "
                f"{MIN_RATINGS} each: ask for {MIN_RATINGS * self.users:,} ratings or more, or for "
                f"{self.ratings // MIN_RATINGS:,} users at most."
            )
        most = int(MAX_DENSITY * self.users * self.movies)
        if self.ratings > max(most, MIN_RATINGS * self.users):
            raise MarqueeError(
                f"{self.ratings:,} ratings are too many for {self.users:,} users and {self.movies:,} movies, "
                f"as nobody rates a movie twice: ask for {most:,} ratings at most, "
                "or for more users or movies."
            )

    @property
    def marker(self) -> dict[str, Any]:
        """What a finished folder says of itself."""
        return {"generator": GENERATOR, "config": asdict(self)}


def check_bounds(config: object, bounds: Mapping[str, tuple[float, float]], what: str) -> None:
    """Refuse a value that data cannot be generated with.

    Args:
        config: that has the values.
        bounds: lowest and highest, by name.
        what: is generated, to begin the sentence.

    Raises:
        MarqueeError: naming the value and its bounds.
    """
    for name, (low, high) in bounds.items():
        value = getattr(config, name)
        if not low <= value <= high:
            raise MarqueeError(f"{what} cannot have {name}={value}: give a value from {low:,} to {high:,}.")
