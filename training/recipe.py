"""A recipe: all that is decided about one training before it starts, frozen.

Checkpoints, manifests, cells of a paper's table and `--like` tell one training from another by its digest.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import pyarrow as pa

from common.errors import MarqueeError, unknown
from feature_repo.define.column import EVENT_TIMESTAMP
from feature_repo.define.domain import Domain
from feature_repo.define.task import Task
from training.config import checked
from training.data.service import Service, service_of
from training.data.splits import LEAKY, SHARES, Split, Strategy, check_shares, check_strategy, split
from training.inputs.fit import features_of
from training.models import Entry
from training.models import model as entry_of
from training.models.config import KerasConfig, ModelConfig
from training.tasks import check_monitor, objective_of

Protocol = Literal["honest", "paper"]
SPLIT_OF: dict[str, Strategy] = {"honest": "time", "paper": "random"}
"""Honest: features strictly before each label, split in time. Paper: features of the whole data, and a random
split; the future, and the label itself, leak into both."""
KINDS: dict[str, type[Task]] = {kind.__name__.lower(): kind for kind in get_args(Task)}


@dataclass(frozen=True, slots=True)
class Recipe:
    """One training. Make it by `recipe_of`, which checks it.

    Args:
        domain: name of the domain whose events are the labels.
        service: feature service.
        model: key in the zoo, or the import path of a user's own.
        config: the model's whole configuration, as plain data.
        task: what is predicted.
        protocol: how features were joined: "honest", or the leaky "paper" (see `SPLIT_OF`).
        split: how rows are cut: "time", or the leaky "random".
        shares: of training, validation and test.
        split_seed: of the random split; models are compared on the same rows.
        seed: of everything else random.
        leak: what else was let in on purpose, such as one view's values over the whole data; "" for nothing.
    """

    domain: str
    service: str
    model: str
    config: Mapping[str, Any]
    task: Task
    protocol: str
    split: Strategy
    shares: tuple[float, float, float]
    split_seed: int
    seed: int
    leak: str = ""

    @property
    def entry(self) -> Entry:
        """The model."""
        return entry_of(self.model)

    @property
    def settings(self) -> ModelConfig:
        """The configuration, typed."""
        return self.entry.config_class.of(self.config)

    @property
    def is_leaky(self) -> bool:
        """Whether the future may have been trained on; stands wherever the numbers do."""
        return LEAKY[self.split] or self.protocol == "paper" or bool(self.leak)

    def cut(self, table: pa.Table, by: str = EVENT_TIMESTAMP) -> Split:
        """The parts of labelled rows.

        Args:
            by: the column that orders them in time.

        Raises:
            MarqueeError: as `training.data.splits.split`.
        """
        return split(table, self.split, by=by, shares=self.shares, seed=self.split_seed)

    def as_json(self) -> dict[str, Any]:
        """The recipe as plain data."""
        kind = type(self.task).__name__.lower()
        return {**asdict(self), "task": {"kind": kind, **asdict(self.task)}}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Recipe":
        """What `as_json` gave, or JSON made of it, as a recipe again.

        Raises:
            TypeError, KeyError, ValueError: it is no such data.
        """
        task = dict(values["task"])
        kind = KINDS[task.pop("kind")]
        return checked(cls, {**values, "task": checked(kind, task)})

    def digest(self, **also: Any) -> str:
        """One name for this training.

        Args:
            also: what else makes its result (the data, versions of packages), as plain data.
        """
        made_of = {"recipe": self.as_json(), **also}
        return hashlib.sha256(json.dumps(made_of, sort_keys=True, default=list).encode()).hexdigest()


def recipe_of(
    domain: Domain,
    model: str,
    *,
    service: str | None = None,
    task: Task | None = None,
    config: Mapping[str, Any] | None = None,
    protocol: str = "honest",
    split: str | None = None,
    shares: tuple[float, float, float] = SHARES,
    split_seed: int = 0,
    seed: int = 0,
    leak: str = "",
) -> Recipe:
    """A recipe that can work, as far as can be told before any data are read.

    Args:
        domain: whose events are the labels.
        model: key in the zoo.
        service: feature service; that of the model where None.
        task: what is predicted; the domain's first where None.
        config: what differs from the model's defaults; dotted keys reach into sections.
        protocol, shares, split_seed, seed, leak: as in `Recipe`.
        split: "time" or "random"; that of the protocol where None.

    Raises:
        MarqueeError: an unknown model, service, setting, protocol or split, a task that the model cannot
            learn, a domain without a service for it, or inputs that are all switched off.
    """
    entry = entry_of(model)
    settings = entry.config_class.of(config)
    check_protocol(protocol)
    strategy = check_strategy(SPLIT_OF[protocol] if split is None else split)
    check_shares(shares)
    task = domain.tasks[0] if task is None else task
    check_task(entry, task)
    if isinstance(settings, KerasConfig):
        check_monitor(objective_of(task), settings.training.monitor)
    reads = service_of(domain, service or service_for(domain, entry))
    check_inputs(reads, settings)
    return Recipe(
        domain=domain.name,
        service=reads.name,
        model=model,
        config=settings.model_dump(mode="json"),
        task=task,
        protocol=protocol,
        split=strategy,
        shares=shares,
        split_seed=split_seed,
        seed=seed,
        leak=leak,
    )


def service_for(domain: Domain, entry: Entry) -> str:
    """The feature service that a model reads: its own, or a domain's only one; of a log, the log.

    Raises:
        MarqueeError: the domain has neither.
    """
    if domain.fields:
        return domain.events.name
    if entry.service in domain.services:
        return entry.service
    if len(domain.services) == 1:
        return next(iter(domain.services))
    raise MarqueeError(
        f"{entry.key} reads {entry.service}, which {domain.name} does not have: its feature services are"
        f" {', '.join(domain.services)}."
    )


def check_inputs(service: Service, settings: ModelConfig) -> None:
    """Refuse a configuration that leaves a model nothing to read of a service.

    Raises:
        MarqueeError: naming the service.
    """
    if not features_of(service.views, settings.inputs).columns:
        raise MarqueeError(f"The inputs of {service.name} are all switched off: a model needs one at least.")


def check_protocol(protocol: str) -> None:
    """Refuse an unknown protocol.

    Raises:
        MarqueeError: naming those there are.
    """
    if protocol not in SPLIT_OF:
        raise MarqueeError(f"Unknown protocol '{protocol}': choose one of {', '.join(SPLIT_OF)}.")


def check_task(entry: Entry, task: Task) -> None:
    """Refuse a task that a model cannot learn.

    Raises:
        MarqueeError: naming the tasks that it can.
    """
    kind = type(task).__name__.lower()
    if kind not in entry.tasks:
        raise MarqueeError(
            f"{entry.key} cannot learn {task.name}, a {kind} task: it learns {' or '.join(entry.tasks)} ones."
        )


def task_of(domain: Domain, name: str | None) -> Task:
    """A task of a domain by its name; the first where None.

    Raises:
        MarqueeError: the domain has none of that name.
    """
    if name is None:
        return domain.tasks[0]
    for task in domain.tasks:
        if task.name == name:
            return task
    raise unknown("task", name, [task.name for task in domain.tasks])
