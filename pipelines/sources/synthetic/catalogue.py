"""The movies: what each one is, before anybody rates it. A pure function of the config."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from feature_repo.domains.movies.tables import GENRE_SEPARATOR
from pipelines.sources.synthetic.config import SyntheticConfig

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FIRST_YEAR, LAST_YEAR = 1996, 2016
"""Years in which people rate."""

# First number of a seed sequence: which random stream it is. Streams never share a generator.
CATALOGUE_STREAM, USERS_STREAM, PILOT_STREAM, BLOCK_STREAM, POSTER_STREAM, PROFILES_STREAM = range(6)


def stream(config: SyntheticConfig, *key: int) -> np.random.Generator:
    """The generator of one stream: the same for the same seed and key, whoever asks and in whatever order."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((config.seed, *key))))


@dataclass(frozen=True, slots=True)
class Genre:
    """One genre.

    Args:
        name: as in MovieLens.
        share: of the movies that have it (measured on MovieLens).
        appeal: how much more it is rated than there are movies of it, as a logarithm (after MovieLens).
        energy, darkness, wonder: where it lies on the three axes of mood along which tastes differ.
        saturation, brightness: of its posters, in deviations from the mean poster.
        hue: towards which its posters lean, in turns (0 red, 1/3 green, 2/3 blue).
    """

    name: str
    share: float
    appeal: float
    energy: float
    darkness: float
    wonder: float
    saturation: float
    brightness: float
    hue: float


GENRES = (
    Genre("Action", 0.169, 0.47, 1.4, 0.3, 0.1, 0.4, -0.5, 0.06),
    Genre("Adventure", 0.122, 0.59, 1.1, -0.4, 0.8, 0.6, 0.2, 0.09),
    Genre("Animation", 0.049, 0.23, 0.2, -1.4, 1.2, 1.5, 0.9, 0.13),
    Genre("Children", 0.064, 0.31, 0.1, -1.6, 0.9, 1.4, 1.1, 0.14),
    Genre("Comedy", 0.363, 0.20, -0.3, -1.0, -0.5, 0.3, 0.9, 0.12),
    Genre("Crime", 0.121, 0.30, 0.3, 1.2, -1.1, -0.3, -0.9, 0.00),
    Genre("Documentary", 0.054, -1.20, -1.3, 0.2, -1.2, -0.9, 0.6, 0.55),
    Genre("Drama", 0.478, 0.10, -1.0, 0.4, -0.8, -0.5, 0.0, 0.08),
    Genre("Fantasy", 0.072, 0.40, 0.3, -0.6, 1.7, 0.7, -0.2, 0.72),
    Genre("Film-Noir", 0.015, -0.30, -0.5, 1.6, -1.0, -1.7, -1.0, 0.60),
    Genre("Horror", 0.096, -0.35, 0.5, 1.5, 0.9, 0.3, -1.5, 0.99),
    Genre("IMAX", 0.017, 0.65, 1.3, -0.3, 1.2, 0.6, -0.3, 0.57),
    Genre("Musical", 0.043, 0.09, -0.7, -1.2, 0.4, 0.8, 0.8, 0.92),
    Genre("Mystery", 0.060, 0.24, -0.1, 1.3, 0.3, -0.4, -0.9, 0.64),
    Genre("Romance", 0.169, 0.13, -1.0, -0.9, -0.4, 0.1, 0.8, 0.96),
    Genre("Sci-Fi", 0.087, 0.57, 1.1, 0.5, 1.6, 0.5, -0.8, 0.59),
    Genre("Thriller", 0.189, 0.29, 0.6, 1.2, -0.2, -0.2, -1.1, 0.61),
    Genre("War", 0.040, 0.22, 0.6, 0.6, -1.0, -0.8, -0.4, 0.10),
    Genre("Western", 0.018, 0.05, 0.7, 0.1, -0.8, 0.2, 0.3, 0.07),
)
NO_GENRE_SHARE = 0.002
GENRES_PER_MOVIE = (0.306, 0.333, 0.232, 0.093, 0.029, 0.007)
"""Share of movies with one, two, … genres (MovieLens)."""
GENRES_TOGETHER = 0.45
"""How much a shared mood draws further genres to a movie's first."""
MOOD_AXES = ("energy", "darkness")
MOODS = len(MOOD_AXES)
COLOURS = ("saturation", "brightness", "warmth")
"""The colour features that tastes are about. Warmth is red less blue."""
TASTES = MOODS + len(COLOURS)

# Release years of MovieLens' catalogue by quantile: 46 % are out when the first people rate.
RELEASE_QUANTILES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
RELEASE_YEARS = (1902, 1932, 1949, 1962, 1985, 1997, 2006, 2012, 2015, 2016)

# Popularity by rank r of M: (r + shift M)^-exponent exp(-r / (cutoff M)), Zipf's law as Mandelbrot bent it at
# the head, with the exponential tail of a catalogue that is finite.
ZIPF_EXPONENT, ZIPF_SHIFT, ZIPF_CUTOFF = 1.2, 0.004, 0.3
APPEAL_WEIGHT = 1.2
QUALITY_POPULARITY = 0.25
"""Correlation of a movie's quality with its popularity."""

MEAN_SATURATION, SATURATION_SPREAD = 0.42, 0.17
MEAN_BRIGHTNESS, BRIGHTNESS_SPREAD = 0.53, 0.17
OWN_HUE_TURNS = 0.5
"""Deviation of a poster's hue from its genres' where colour does not go with genre at all."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Movies 1 to M, in that order; every array has M rows.

    Args:
        has_genre: bool (M, genres).
        release_year: int (M,).
        log_weight: log of the popularity weight (M,).
        quality: the movie's term of the like-logit (M,).
        saturation, brightness: means that its poster is drawn with, in [0, 1] (M,).
        hue: of its poster, in turns (M,).
        traits: what tastes are about (M, TASTES): three moods, three colours; each column has mean 0 and
            deviation 1. The colours of a movie without poster are 0: nobody can like what is not there.
        has_poster: bool (M,).
    """

    has_genre: npt.NDArray[np.bool_]
    release_year: Ints
    log_weight: Floats
    quality: Floats
    saturation: Floats
    brightness: Floats
    hue: Floats
    traits: Floats
    has_poster: npt.NDArray[np.bool_]

    def genres(self) -> list[str]:
        """Each movie's genres, joined."""
        names = [genre.name for genre in GENRES]
        return [
            GENRE_SEPARATOR.join(name for name, there in zip(names, row, strict=True) if there)
            for row in self.has_genre
        ]


@lru_cache(maxsize=2)
def catalogue(config: SyntheticConfig) -> Catalogue:
    """The movies of a config."""
    rng = stream(config, CATALOGUE_STREAM)
    movies = config.movies
    has_genre = _draw_genres(rng, movies)
    genre_count = np.maximum(has_genre.sum(axis=1), 1)[:, None]

    def by_genre(*names: str) -> Floats:
        table = np.array([[getattr(genre, name) for name in names] for genre in GENRES])
        return np.asarray(has_genre @ table / genre_count)

    # One movie per slice of the quantile function: no year is short of movies by bad luck.
    release_year = np.floor(
        np.interp((rng.permutation(movies) + 0.5) / movies, RELEASE_QUANTILES, RELEASE_YEARS)
    ).astype(np.int64)

    appeal = by_genre("appeal")[:, 0]
    rank = np.empty(movies)
    rank[np.argsort(-(rng.standard_normal(movies) + APPEAL_WEIGHT * appeal), kind="stable")] = np.arange(
        movies
    )
    log_weight = -ZIPF_EXPONENT * np.log(rank + 1 + ZIPF_SHIFT * movies) - rank / (ZIPF_CUTOFF * movies)
    quality = config.quality_strength * (
        QUALITY_POPULARITY * _standardised(log_weight)
        + np.sqrt(1 - QUALITY_POPULARITY**2) * rng.standard_normal(movies)
    )

    shared, own = np.sqrt(config.colour_by_genre), np.sqrt(1 - config.colour_by_genre)
    palette = by_genre("saturation", "brightness")
    palette = _standardised(palette) * shared + rng.standard_normal((movies, 2)) * own
    saturation = np.clip(MEAN_SATURATION + SATURATION_SPREAD * palette[:, 0], 0.06, 0.94)
    brightness = np.clip(MEAN_BRIGHTNESS + BRIGHTNESS_SPREAD * palette[:, 1], 0.12, 0.94)
    angles = 2 * np.pi * np.array([genre.hue for genre in GENRES])
    lean = np.arctan2(has_genre @ np.sin(angles), has_genre @ np.cos(angles)) / (2 * np.pi)
    hue = (lean + OWN_HUE_TURNS * own * rng.standard_normal(movies)) % 1.0

    has_poster = rng.random(movies) < config.poster_share
    mood = _standardised(by_genre(*MOOD_AXES))
    colour = np.stack([saturation, brightness, saturation * brightness * warmth(hue)], axis=1)
    return Catalogue(
        has_genre=has_genre,
        release_year=release_year,
        log_weight=log_weight,
        quality=quality,
        saturation=saturation,
        brightness=brightness,
        hue=hue,
        traits=np.concatenate([mood, _standardised(colour) * has_poster[:, None]], axis=1),
        has_poster=has_poster,
    )


def warmth(hue: Floats) -> Floats:
    """Red less blue of a fully saturated, fully bright colour: 1 from red to yellow, -1 from cyan to blue.

    Args:
        hue: in turns.
    """
    return np.interp(hue * 6.0, (0, 1, 2, 3, 4, 5, 6), (1, 1, 0, -1, -1, 0, 1))


def _draw_genres(rng: np.random.Generator, movies: int) -> npt.NDArray[np.bool_]:
    """Sets of genres, none twice: the first by its odds, the others by odds and shared mood."""
    shares = np.array([genre.share for genre in GENRES])
    log_odds = np.log(shares) - 0.5 * np.log(1 - shares)
    mood = np.array([[getattr(genre, axis) for axis in MOOD_AXES] for genre in GENRES])
    count = 1 + rng.choice(len(GENRES_PER_MOVIE), size=movies, p=GENRES_PER_MOVIE)
    count[rng.random(movies) < NO_GENRE_SHARE] = 0
    first = np.argmax(log_odds + rng.gumbel(size=(movies, len(GENRES))), axis=1)
    key = log_odds + GENRES_TOGETHER * (mood @ mood.T)[first] + rng.gumbel(size=(movies, len(GENRES)))
    key[np.arange(movies), first] = np.inf
    place = np.argsort(np.argsort(-key, axis=1), axis=1)
    return np.asarray(place < count[:, None])


def _standardised(values: Floats) -> Floats:
    deviation = values.std(axis=0)
    return np.asarray((values - values.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0))


_ADJECTIVES = (
    "Silent", "Golden", "Last", "Broken", "Hidden", "Crimson", "Distant", "Electric", "Frozen", "Gentle",
    "Hollow", "Invisible", "Lonely", "Midnight", "Northern", "Open", "Paper", "Quiet", "Restless", "Scarlet",
    "Secret", "Second", "Summer", "Tender", "Unknown", "Velvet", "Wandering", "Wild", "Winter", "Young",
)  # fmt: skip
_NOUNS = (
    "Harbour", "Garden", "Letter", "River", "Stranger", "Orchard", "Signal", "Station", "Promise", "Mountain",
    "Island", "Mirror", "Circus", "Bridge", "Castle", "Detective", "Dancer", "Empire", "Forest", "Guest",
    "Hunter", "Journey", "Kingdom", "Lighthouse", "Machine", "Neighbour", "Ocean", "Parade", "Queen", "Road",
    "Shadow",    "Tiger", "Umbrella", "Voyage", "Waltz", "Winner", "Window", "Witness", "Year", "Zebra",
)  # fmt: skip


def titles(movies: int) -> list[str]:
    """A title for each movie, without the year; all different. A part 2, 3, … follows once names run out."""
    pairs = len(_ADJECTIVES) * len(_NOUNS)
    names = []
    for index in range(movies):
        part, pair = divmod(index, pairs)
        pair = pair * 7 % pairs  # 7 and 1,200 share no factor: every pair once, neighbours unlike
        adjective, noun = divmod(pair, len(_NOUNS))
        names.append(f"The {_ADJECTIVES[adjective]} {_NOUNS[noun]}" + (f" {part + 1}" if part else ""))
    return names
