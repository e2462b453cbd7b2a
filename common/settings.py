"""One typed settings object; every field can be set as `MARQUEE_<FIELD>` in the environment.

It is made once, at the edge, and passed on as an argument. Only plug-ins that Feast loads by its own command
make one themselves: they get no arguments.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from common.errors import MarqueeError
from common.files import folder_to_write, unusable_name


class Settings(BaseSettings):
    """Where things are and how much of the machine to use."""

    model_config = SettingsConfigDict(env_prefix="MARQUEE_", frozen=True, extra="forbid")

    home: Path = Field(default=Path(".marquee"), description="The folder that holds all state.")
    profile: Literal["embedded", "scale"] = Field(
        default="embedded",
        description="Which stores: embedded ones, or Spark, PostgreSQL, Redis.",
    )
    postgres: str = Field(default="", description="At scale, the URL of the registry's database.")
    redis: str = Field(default="", description="At scale, HOST:PORT of the online store, and its options.")
    server_timeout: int = Field(
        default=30, ge=1, description="Seconds that PostgreSQL or Redis may take for an answer."
    )
    spark_master: str = Field(default="local[*]", description="URL of the Spark master.")
    spark_memory: str = Field(default="2g", pattern=r"^[0-9]+[mg]$", description="Heap of the Spark driver.")
    spark_shuffle_partitions: int = Field(default=8, ge=1, description="The most partitions of a shuffle.")
    download_base_url: str = Field(
        default="", description="Where archives are fetched from; from their own server where empty."
    )
    duckdb_memory: str = Field(
        default="2GB", description="Memory limit of the point-in-time join; past it, it spills."
    )

    @field_validator("home", mode="before")
    @classmethod
    def _given(cls, home: Any) -> Any:
        if home == "":
            raise ValueError("it is empty, which would be the folder where the command is typed")
        return home

    @field_validator("home")
    @classmethod
    def _usable(cls, home: Path) -> Path:
        try:
            place = home.expanduser().absolute()
        except RuntimeError as error:
            raise ValueError(f"there is no such user's folder: {home}") from error
        why = unusable_name(str(place))
        if why is not None:
            raise ValueError(why)
        return place

    @field_validator("duckdb_memory")
    @classmethod
    def _limit(cls, limit: str) -> str:
        if limit.lstrip().startswith("-"):  # which DuckDB takes for no limit
            raise ValueError(f"{limit} is no size, as 2GB is")
        return limit

    @property
    def lake(self) -> Path:
        """The Delta tables."""
        return self.home / "lake"

    @property
    def sources(self) -> Path:
        """Archives fetched and data generated."""
        return self.home / "sources"

    @property
    def runs(self) -> Path:
        """One folder a run."""
        return self.home / "runs"

    @property
    def spark_log(self) -> Path:
        """What Spark's JVM has to say."""
        return self.home / "logs" / "spark.log"


def load_settings(home: Path | None = None) -> Settings:
    """Settings from the environment; `home`, where it was given, is that of the command line.

    Raises:
        MarqueeError: a variable has a value that cannot be used, or the home is a file.
    """
    try:
        settings = Settings(home=home) if home is not None else Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        # What cannot be printed would be numbers in place of its letters.
        given = f"={str(first['input'])!r}" if str(first["input"]).isprintable() else ""
        why = first["msg"].removeprefix("Value error, ")
        raise MarqueeError(f"MARQUEE_{name}{given} cannot be used: {why}.") from error
    folder_to_write(settings.home)
    return settings


def settings_for_feast() -> Settings:
    """`load_settings` for Feast's own command, which works in another folder than the one where it was typed.

    Raises:
        MarqueeError: also if MARQUEE_HOME is not set, or relative.
    """
    home = os.environ.get("MARQUEE_HOME", "")
    if not home:
        raise MarqueeError("MARQUEE_HOME is not set: export it (export MARQUEE_HOME=$PWD/.marquee).")
    if not Path(home).is_absolute():
        raise MarqueeError(f"MARQUEE_HOME={home} is a relative path: make it an absolute one.")
    return load_settings()


def home_or_default(home: Path | None) -> Path:
    """The home that a command is about, for telling where it failed: the usual one where none can be used."""
    with suppress(Exception):
        return load_settings(home).home
    return Path(".marquee").absolute()
