"""Where events come from: archives that are fetched, data that are generated, files that are read."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.home import writing
from app.spark import spark_on_demand
from common.errors import MarqueeError
from common.progress import Stage, Stages
from common.settings import Settings
from common.words import count_of
from lake.session import StartSpark

if TYPE_CHECKING:
    from pipelines.sources.source import Source
    from pipelines.sources.synthetic import SyntheticConfig


DOMAIN_OF = {
    "synthetic": "movies",
    "movielens": "movies",
    "criteo": "criteo",
    "avazu": "avazu",
    "synthetic-clicks": "synthetic_clicks",
}
"""Of each source the domain that it fills, by the names of `app.domains`."""


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """Which data to take.

    Args:
        source: one of `DOMAIN_OF`.
        path: folder of a MovieLens data set, or file or folder of a click log; of these sources only.
        posters: folder of its posters, `<movieId>.jpg`.
        first_movies: keep movies with an id up to this.
        seed: of synthetic data, and of what is made of any.
        rows: of a synthetic click log; as many as its configuration says where None.
    """

    source: str
    path: Path | None = None
    posters: Path | None = None
    first_movies: int | None = None
    seed: int = 0
    rows: int | None = None

    @property
    def folders(self) -> dict[str, Path]:
        """The folders that are read, by the options that name them."""
        given = {"--path": self.path, "--posters": self.posters}
        return {option: folder for option, folder in given.items() if folder is not None}

    @property
    def key(self) -> str:
        """A short name of the data, good for files; other data have another one."""
        name = re.sub(r"[^\w.]+", "-", self.path.resolve().name) if self.path else self.source
        posters = "-without-posters" if self._lacks_posters else ""
        return f"{name}{f'-{self.first_movies}' if self.first_movies else ''}{posters}"

    @property
    def words(self) -> str:
        """The data in words."""
        name = self.path.name if self.path else "synthetic data"
        if DOMAIN_OF[self.source] != "movies":
            return self.path.name if self.path else f"{self.source}{self._size}, seed {self.seed}"
        posters = ", without posters" if self._lacks_posters else ""
        movies = f"movies with an id up to {self.first_movies}" if self.first_movies else "all movies"
        return f"{name}, {movies}{posters}"

    @property
    def _lacks_posters(self) -> bool:
        return self.source == "movielens" and self.posters is None

    @property
    def _size(self) -> str:
        return f", {count_of(self.rows, 'row')}" if self.rows else ""

    @property
    def identity(self) -> dict[str, Any]:
        """What two options have in common that give the same tables, as JSON holds it."""
        return {
            "source": self.source,
            "path": str(self.path.resolve()) if self.path else None,
            "posters": str(self.posters.resolve()) if self.posters else None,
            "first_movies": self.first_movies,
            "seed": self.seed if self.path is None else None,
            **({} if self.rows is None else {"rows": self.rows}),
        }


def check_source(options: SourceOptions) -> None:
    """Refuse options that do not fit each other, or files that cannot be used, before anything is started.

    Raises:
        MarqueeError: a MovieLens folder is needed and none was given, or one was given in vain or in error.
    """
    if options.rows is not None and options.source != "synthetic-clicks":
        raise MarqueeError("--rows belongs to --source synthetic-clicks: add it, or leave --rows out.")
    if DOMAIN_OF[options.source] != "movies":
        _check_log(options)
        return
    if options.source == "movielens" and options.path is None:
        raise MarqueeError(
            "The source movielens needs --path FOLDER: "
            "`marquee data fetch ml-latest-small` downloads one and says where it is."
        )
    if options.source != "movielens" and (options.path is not None or options.posters is not None):
        raise MarqueeError("--path and --posters belong to --source movielens: add it, or leave them out.")
    if options.path is not None:
        from pipelines.sources.movielens import check_folder

        check_folder(options.path.absolute())
    if options.posters is not None:
        from pipelines.sources.movielens import check_posters

        check_posters(options.posters)


def _check_log(options: SourceOptions) -> None:
    """`check_source` of a click log."""
    for option, given in (("--posters", options.posters), ("--first-movies", options.first_movies)):
        if given is not None:
            raise MarqueeError(
                f"{option} belongs to sources of ratings, not to {options.source}: leave it out."
            )
    if options.source == "synthetic-clicks":
        if options.path is not None:
            raise MarqueeError("--path belongs to sources of files, not to synthetic-clicks: leave it out.")
        return
    if options.path is None:
        raise MarqueeError(
            f"The source {options.source} needs --path: the file of the log, or a folder of its files."
        )
    from pipelines.sources.click_logs import CHECKS

    CHECKS[options.source](options.path)


def open_source(spark: StartSpark, settings: Settings, options: SourceOptions, stage: Stage) -> "Source":
    """The source that was asked for; synthetic data are generated first."""
    if DOMAIN_OF[options.source] != "movies":
        source = _open_log(spark, settings, options, stage)
        stage.outcome = source.description
        return source
    if options.path is not None:
        from pipelines.sources.movielens import read_movielens

        source = read_movielens(options.path, options.posters, options.first_movies)
        stage.outcome = source.description
        return source
    from pipelines.sources.synthetic import SyntheticConfig, read_synthetic

    folder = _generate_once(spark, settings, SyntheticConfig(seed=options.seed), stage)
    return read_synthetic(folder, options.first_movies)


def _open_log(spark: StartSpark, settings: Settings, options: SourceOptions, stage: Stage) -> "Source":
    """`open_source` of a click log."""
    if options.path is not None:
        from pipelines.sources.click_logs import READERS

        return READERS[options.source](options.path)
    from pipelines.sources.synthetic_clicks import ClicksConfig, generate, read_clicks

    rows = {} if options.rows is None else {"rows": options.rows}
    config = ClicksConfig(seed=options.seed, **rows)
    folder = settings.sources / f"synthetic-clicks-{config.rows}-seed{config.seed}"
    generate(spark, config, folder, on_progress=stage.report)
    return read_clicks(folder)


def fetch_archive(settings: Settings, name: str, stages: Stages) -> Path:
    """Download a MovieLens archive into the home and unpack it; what was downloaded before is kept.

    Returns:
        The folder of its files.

    Raises:
        MarqueeError: there is no such archive, the server refuses, or the archive is damaged.
    """
    from pipelines.sources.download import BASE_URL, check_archive, fetch

    check_archive(name)
    with writing(settings.home), stages.stage(f"fetch {name}") as stage:
        folder = fetch(
            name,
            settings.sources,
            base_url=settings.download_base_url or BASE_URL,
            on_progress=stage.report,
            on_note=stages.note,
        )
        stage.outcome = str(folder)
    return folder


def synthesise(settings: Settings, config: "SyntheticConfig", stages: Stages) -> Path:
    """Generate synthetic data unless the same were generated before; their folder."""
    with writing(settings.home):
        spark = spark_on_demand(settings, stages)
        with stages.stage("generate") as stage:
            return _generate_once(spark, settings, config, stage)


def synthetic_folder(settings: Settings, config: "SyntheticConfig") -> Path:
    """Where the data of this configuration are kept."""
    size = f"{config.ratings}-{config.users}-{config.movies}"
    return settings.sources / f"synthetic-{size}-seed{config.seed}"


def _generate_once(spark: StartSpark, settings: Settings, config: "SyntheticConfig", stage: Stage) -> Path:
    from pipelines.sources.synthetic import generate

    folder = synthetic_folder(settings, config)
    generate(spark, config, folder, on_progress=stage.report)
    stage.outcome = (
        f"{count_of(config.ratings, 'rating')} by {count_of(config.users, 'user')} of"
        f" {count_of(config.movies, 'movie')}, seed {config.seed}, in {folder}"
    )
    return folder
