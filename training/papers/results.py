"""What reproducing a paper found, and its file."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from common.errors import MarqueeError
from common.files import json_in, write_atomically
from training.evaluate.bootstrap import Interval
from training.evaluate.metrics import attainable_share

RESULTS = "results.json"


@dataclass(frozen=True, slots=True)
class VariantResult:
    """One variant under one protocol.

    Args:
        variant, title: which.
        protocol: "honest", or the leaky "paper".
        seeds: that were trained.
        mean, deviation: of each metric over the seeds (deviation of the sample; 0 for one seed).
        difference: of the mean of the metric that the paper is judged by, to the variant that all are
            compared to; None for that one itself.
        ablated: of an ablation, the same to what it ablates; None for others.
        best_auc: best attainable, where it is known.
        share: mean share of the attainable gain, where that is known.
    """

    variant: str
    title: str
    protocol: str
    seeds: int
    mean: dict[str, float]
    deviation: dict[str, float]
    difference: Interval | None
    ablated: Interval | None
    best_auc: float | None
    share: float | None


@dataclass(frozen=True, slots=True)
class LeakWorth:
    """What one leak alone is worth, to one model.

    Args:
        leak: "random split", or the view that was replaced by its values over the whole data.
        value: mean over the seeds, with that leak only, of the metric that the paper is judged by.
        gain: over the honest protocol.
    """

    leak: str
    value: float
    gain: float


@dataclass(frozen=True, slots=True)
class HistoryBand:
    """Test rows before which there were so many events of their key.

    Args:
        protocol: of the rows.
        low, high: the fewest and the most events; None for no upper end.
        rows: how many.
        best_auc: best attainable on them.
        auc: mean ROC-AUC over the seeds, by variant.
    """

    protocol: str
    low: int
    high: int | None
    rows: int
    best_auc: float
    auc: dict[str, float]

    def share(self, variant: str) -> float:
        """A variant's share of the attainable gain."""
        return attainable_share(self.auc[variant], self.best_auc)


@dataclass(frozen=True, slots=True)
class Attention:
    """How much each field attends to each in a variant's first attention layer.

    Args:
        protocol, variant: which.
        fields: their names.
        weights: (fields, fields), each row of which adds up to 1: means over heads and test rows.
    """

    protocol: str
    variant: str
    fields: list[str]
    weights: list[list[float]]


@dataclass(frozen=True, slots=True)
class Results:
    """All that was found.

    Args:
        rows: of the table.
        leaks: what each leak is worth.
        leak_title: title of the model that leaks were measured on.
        parts: by protocol and part, rows of the positive class and all rows; 0 positive ones where the task
            has no such class.
        bands: by length of history; none where the truth is not known.
        made_with: what trained the networks: backend and versions.
        compared: by protocol, key of the variant that all others are compared to.
        attention: between fields; none where the paper does not ask.
    """

    rows: tuple[VariantResult, ...]
    leaks: tuple[LeakWorth, ...] = ()
    leak_title: str = ""
    parts: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    bands: tuple[HistoryBand, ...] = ()
    made_with: str = ""
    compared: dict[str, str] = field(default_factory=dict)
    attention: tuple[Attention, ...] = ()


def write_results(results: Results, out: Path) -> None:
    """Write `results.json` into the folder of the cells.

    Raises:
        MarqueeError: the folder cannot be written.
    """
    write_atomically(out / RESULTS, json.dumps(asdict(results), indent=2) + "\n")


def read_results(out: Path) -> Results:
    """What `write_results` wrote.

    Raises:
        MarqueeError: there is nothing, or it is damaged.
    """
    path = out / RESULTS
    try:
        found = json_in(path.read_text())
        intervals = ("difference", "ablated")
        return Results(
            rows=tuple(
                VariantResult(**row | {name: row[name] and Interval(**row[name]) for name in intervals})
                for row in found["rows"]
            ),
            leaks=tuple(LeakWorth(**leak) for leak in found["leaks"]),
            leak_title=found["leak_title"],
            parts={
                protocol: {name: (positive, rows) for name, (positive, rows) in parts.items()}
                for protocol, parts in found["parts"].items()
            },
            bands=tuple(HistoryBand(**band) for band in found["bands"]),
            made_with=found["made_with"],
            compared=found["compared"],
            attention=tuple(Attention(**each) for each in found["attention"]),
        )
    except OSError as error:
        raise MarqueeError(f"There are no results at {path}: run `marquee reproduce` first.") from error
    except (ValueError, TypeError, KeyError) as error:
        raise MarqueeError(f"{path} is damaged: {error}. Run `marquee reproduce` again.") from error
