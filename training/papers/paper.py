"""A paper, declared: what it is about, the rows of its table, studies, figures, and its published numbers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from common.errors import MarqueeError, unknown
from feature_repo.define.domain import Domain
from feature_repo.define.task import Task
from training.config import merged
from training.data.splits import SHARES
from training.recipe import Recipe, recipe_of

if TYPE_CHECKING:
    from training.evaluate.picture import Picture


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of the table.

    Args:
        key: names its cells.
        title: for people.
        model: key in the zoo.
        config: what differs from the model's configuration.
        published: the paper's own numbers for the row, by metric; empty where it has none.
        ablates: key of the variant that this is with a part taken out; "" for none.
    """

    key: str
    title: str
    model: str
    config: Mapping[str, Any] = field(default_factory=dict)
    published: Mapping[str, float] = field(default_factory=dict)
    ablates: str = ""


@dataclass(frozen=True, slots=True)
class Protocol:
    """How one table of a paper is made.

    Args:
        heading: of the table.
        join: how features are joined, "honest" or "paper" (see `training.recipe.SPLIT_OF`).
        split: how rows are cut; as `join` has it where None.
        shares: of training, validation and test.
        task: what is predicted; the paper's where None.
        configured_as: names the committed configurations, `<model>.<configured_as>.yaml`; as `join` where "".
        variants: keys of its rows; all of the paper's where None.
    """

    heading: str
    join: str
    split: str | None = None
    shares: tuple[float, float, float] = SHARES
    task: Task | None = None
    configured_as: str = ""
    variants: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class LeakStudy:
    """What each leak alone is worth: the random split, and each view that changes with time, by its values
    over the whole data.

    Args:
        of: key of the variant that it is measured on, where it is among the rows; else that all others are
            compared to.
    """

    of: str


@dataclass(frozen=True, slots=True)
class HistoryStudy:
    """How well models do by how many events of a key there were before, where the best attainable is known.

    Args:
        key: the events' column, such as who rated.
        bands: the fewest and the most events of each band; None for no upper end.
        title: of its table.
        heading: what is counted, of the table's first column.
        fewest: bands of fewer test rows, or of one class only, are left out.
    """

    key: str
    bands: tuple[tuple[int, int | None], ...]
    title: str
    heading: str
    fewest: int = 100


@dataclass(frozen=True, slots=True)
class AttentionStudy:
    """How much fields attend to one another, on average over the test rows.

    Args:
        of: keys of the variants whose first attention layer is looked into.
    """

    of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure, drawn for each protocol, or some.

    Args:
        name: such as "figure-4".
        draw: from what was found, a `training.papers.drawings.Drawn`, to a picture.
        under: the protocols that it is drawn for; all where None.
    """

    name: str
    draw: Callable[[Any], "Picture"]
    under: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper to reproduce.

    Args:
        key: its name on the command line.
        title: of the page.
        reference: authors, title and where it was published.
        data: what it was measured on, in words.
        domain: whose events are the labels.
        task: what is predicted, unless a protocol says another.
        protocols: its tables: how features are joined, rows are split and labels are made.
        variants: rows of the table.
        compared_to: key of the variant that all others are compared to; "" for the best of its rivals: no
            ablation, and not the paper's own model.
        full: key of the paper's own model.
        judged_by: the metric that rows are compared by.
        metrics: that are averaged over seeds.
        shown: those of them that the table has, with their titles.
        leaks, histories, attention: studies; None for none.
        figures: in the order of the page.
        service: feature service that all models read; each its own where None.
        config: settings of all models, over their configurations.
    """

    key: str
    title: str
    reference: str
    data: str
    domain: Domain
    task: Task
    protocols: Mapping[str, Protocol]
    variants: tuple[Variant, ...]
    compared_to: str
    full: str
    judged_by: str
    metrics: tuple[str, ...]
    shown: Mapping[str, str]
    leaks: LeakStudy | None = None
    histories: HistoryStudy | None = None
    attention: AttentionStudy | None = None
    figures: tuple[Figure, ...] = ()
    service: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    def recipe(
        self, model: str, protocol: str, config: Mapping[str, Any], seed: int = 0, **changes: Any
    ) -> Recipe:
        """The recipe of a cell, or of what is to be one.

        Args:
            model: of a row of the table, or any other.
            protocol: which table.
            config: the whole configuration, as far as it differs from the model's defaults.
            seed: of the training.
            changes: of what the protocol says, as `recipe_of` takes them.

        Raises:
            MarqueeError: it cannot work; see `recipe_of`.
        """
        how = self.protocols[protocol]
        return recipe_of(
            self.domain,
            model,
            config=merged(config, self.config),
            seed=seed,
            **{
                "service": self.service,
                "task": self.task_under(protocol),
                "protocol": how.join,
                "split": how.split,
                "shares": how.shares,
                **changes,
            },
        )

    def configured_as(self, protocol: str) -> str:
        """What the committed configurations of a protocol are named by, `<model>.<this>.yaml`."""
        how = self.protocols[protocol]
        return how.configured_as or how.join

    def check_protocol(self, protocol: str) -> None:
        """Refuse a protocol that the paper does not have.

        Raises:
            MarqueeError: naming the nearest, or all.
        """
        if protocol not in self.protocols:
            raise unknown("protocol", protocol, self.protocols)

    def rows_under(self, protocol: str) -> tuple[Variant, ...]:
        """The rows of a protocol's table."""
        chosen = self.protocols[protocol].variants
        return tuple(each for each in self.variants if chosen is None or each.key in chosen)

    @property
    def rivals(self) -> tuple[Variant, ...]:
        """The rows that are no ablations, and not the paper's own model."""
        return tuple(each for each in self.variants if not each.ablates and each.key != self.full)

    def task_under(self, protocol: str) -> Task:
        """What is predicted under a protocol."""
        return self.protocols[protocol].task or self.task

    def variant(self, key: str) -> Variant:
        """A row of the table.

        Raises:
            KeyError: there is none of that key.
        """
        return next(iter(found for found in self.variants if found.key == key))

    def check(self) -> None:
        """Refuse a paper whose rows cannot be trained or compared.

        Raises:
            MarqueeError: names what is wrong.
        """
        keys = {variant.key for variant in self.variants}
        if self.compared_to not in {"", *keys}:
            raise MarqueeError(f"The table needs {self.compared_to}, to which all others are compared.")
        for variant in self.variants:
            if variant.ablates not in {"", *keys}:
                raise MarqueeError(f"The row {variant.key} is compared to {variant.ablates}, which is none.")
            for protocol in self.protocols:
                self.recipe(variant.model, protocol, variant.config)
