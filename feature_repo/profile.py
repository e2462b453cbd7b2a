"""Which stores serve a domain: a profile is a file that Feast's own command reads too."""

import re
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from common.errors import MarqueeError
from common.settings import Settings
from feature_repo.addresses import EXAMPLES, check_postgres, check_redis
from feature_repo.home import placed, placed_registry

REPOSITORY = Path(__file__).parent
PROFILES = {"embedded": "feature_store.yaml", "scale": "feature_store.scale.yaml"}
ENGINE_OPTIONS = "sqlalchemy_config_kwargs"
"""Feast's name for what SQLAlchemy is told of a registry, among its settings."""
_VARIABLE = re.compile(r"\$\{(\w+)\}")


def profile_file(settings: Settings) -> Path:
    """The file of the profile that the settings name."""
    return REPOSITORY / PROFILES[settings.profile]


def profile_settings(settings: Settings, file: Path | None = None) -> dict[str, Any]:
    """What a profile and the settings say of the stores, as `RepoConfig` takes it.

    Args:
        file: of the profile; the one that the settings name where None.

    Raises:
        MarqueeError: a setting that the profile needs is empty, or no address.
    """
    file = file or profile_file(settings)
    variables = {f"MARQUEE_{name.upper()}": str(value) for name, value in settings}
    profile: dict[str, Any] = _filled_in(yaml.safe_load(file.read_text()), variables, file.name)
    if settings.profile == "scale":
        check_postgres(settings.postgres)
        check_redis(settings.redis)
    registry = profile["registry"]
    registry["path"] = placed_registry(registry["path"], settings.home)
    for part in (profile["offline_store"], profile["online_store"], registry.get(ENGINE_OPTIONS, {})):
        part.update({name: placed(value, settings.home) for name, value in part.items()})
    profile["offline_store"] |= {"memory_limit": settings.duckdb_memory}
    if settings.profile == "scale":
        for part in (registry[ENGINE_OPTIONS]["connect_args"], profile["online_store"]):
            part["answer_timeout"] = settings.server_timeout
        profile["offline_store"] |= {
            "master": settings.spark_master,
            "memory": settings.spark_memory,
            "partitions": settings.spark_shuffle_partitions,
        }
    return profile


def _filled_in(setting: Any, variables: dict[str, str], file: str) -> Any:
    if isinstance(setting, dict):
        return {name: _filled_in(value, variables, file) for name, value in setting.items()}
    if not isinstance(setting, str):
        return setting
    for name in _VARIABLE.findall(setting):
        if not variables.get(name):
            example = EXAMPLES.get(name)
            how = f"export it (export {name}={example})" if example else "export it"
            raise MarqueeError(f"{name} is not set: {how}; {file} needs it.")
    return _VARIABLE.sub(lambda match: variables[match[1]], setting)
