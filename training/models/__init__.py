"""The model zoo: one config class and one model in each file, listed here once.

A model is known by its key. Its builder makes it from its configuration and the input specification of its
feature service; every model takes the dictionary of arrays that the specification gives.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from common.errors import unknown
from training.models.config import ModelConfig

if TYPE_CHECKING:
    import optuna

Kind = Literal["keras", "sklearn"]


ALL = ("binary", "regression", "ordinal")
CLASSIFIES = ("binary", "ordinal")
"""Kinds of task."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the zoo.

    Args:
        key: its name on the command line, and its file.
        config: name of its configuration class in that file.
        service: the feature service that it reads, where the domain has one of that name.
        kind: which estimator trains it: "keras" (its file has `build(config, spec)`, the untrained network
            from the spec's tensors to one logit a row) or "sklearn" (its file has `make`, `matrix` …, see
            `training.estimators.scikit`).
        title: its name for people.
        tasks: the kinds of task that it can learn.
    """

    key: str
    config: str
    service: str
    kind: Kind
    title: str
    tasks: tuple[str, ...] = ALL

    @property
    def module(self) -> Any:
        """Its file."""
        return import_module(f"training.models.{self.key}")

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


MODELS: dict[str, Entry] = {
    entry.key: entry
    for entry in (
        Entry("neuralcf", "NeuralCFConfig", "din_v1", "keras", "NeuralCF"),
        Entry("embedding_mlp", "EmbeddingMLPConfig", "din_v1", "keras", "Embedding MLP"),
        Entry("deepfm", "DeepFMConfig", "din_v1", "keras", "DeepFM"),
        Entry("din", "DINConfig", "din_v1", "keras", "DIN"),
        Entry("mmdin", "MMDINConfig", "mmdin_v1", "keras", "MMDIN"),
        Entry("fm", "FMConfig", "iarm_v1", "keras", "FM"),
        Entry("afm", "AFMConfig", "iarm_v1", "keras", "AFM"),
        Entry("nfm", "NFMConfig", "iarm_v1", "keras", "NFM"),
        Entry("wide_deep", "WideDeepConfig", "iarm_v1", "keras", "Wide & Deep"),
        Entry("deep_crossing", "DeepCrossingConfig", "iarm_v1", "keras", "Deep Crossing"),
        Entry("dcn", "DCNConfig", "iarm_v1", "keras", "DCN"),
        Entry("dcn_v2", "DCNV2Config", "iarm_v1", "keras", "DCN-V2"),
        Entry("pnn", "PNNConfig", "iarm_v1", "keras", "PNN"),
        Entry("autoint", "AutoIntConfig", "iarm_v1", "keras", "AutoInt"),
        Entry("iarm", "IARMConfig", "iarm_v1", "keras", "IARM"),
        Entry("gbt", "GBTConfig", "gbt_v1", "sklearn", "Gradient-boosted trees"),
        Entry("logistic", "LogisticConfig", "gbt_v1", "sklearn", "Logistic regression", CLASSIFIES),
    )
}


def model(key: str) -> Entry:
    """The model of that name.

    Raises:
        MarqueeError: there is none; the sentence names the nearest, or all.
    """
    if key in MODELS:
        return MODELS[key]
    raise unknown("model", key, MODELS)
