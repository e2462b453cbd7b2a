"""What the list of models says of each."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from training.models.config import ModelConfig

if TYPE_CHECKING:
    import optuna

Kind = Literal["keras", "sklearn"]
CONFIGURATIONS = Path(__file__).parents[1] / "configs"

ALL = ("binary", "regression", "ordinal")
CLASSIFIES = ("binary", "ordinal")
"""Kinds of task."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One model: its file has the configuration class, the network, and what a search may change.

    Args:
        key: its short name: in the zoo its name on the command line, and its file.
        config: name of its configuration class in that file.
        service: the feature service that it reads, where the domain has one of that name.
        kind: which estimator trains it: "keras" (its file has `build(config, spec)`, the untrained network
            from the spec's tensors to one logit a row) or "sklearn" (its file has `make`, `matrix` …, see
            `training.estimators.scikit`).
        title: its name for people.
        tasks: the kinds of task that it can learn.
        path: of a user's own model the import path, "module:attribute", which is its name on the command line
            (see `training.models.own`, which fills it in); "" in the zoo.
    """

    key: str
    config: str
    service: str
    kind: Kind
    title: str
    tasks: tuple[str, ...] = ALL
    path: str = ""

    @property
    def module(self) -> Any:
        """Its file."""
        return import_module(self.path.partition(":")[0] or f"training.models.{self.key}")

    @property
    def configurations(self) -> Path:
        """The folder of its committed configurations: of a model of one's own that of its file."""
        return Path(self.module.__file__).parent if self.path else CONFIGURATIONS

    @property
    def config_class(self) -> type[ModelConfig]:
        """Its configuration class."""
        return getattr(self.module, self.config)  # type: ignore[no-any-return]

    @property
    def build(self) -> Callable[..., Any]:
        """`build(config, spec)`: the untrained network of a "keras" model."""
        return self.module.build  # type: ignore[no-any-return]

    @property
    def space(self) -> "Callable[[optuna.trial.BaseTrial], dict[str, Any]]":
        """`space(trial)`: the settings to try, or of an ended trial those that were; with dotted keys."""
        return self.module.space  # type: ignore[no-any-return]
