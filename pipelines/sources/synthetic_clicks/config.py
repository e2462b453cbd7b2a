"""What a synthetic click log is made of."""

from dataclasses import asdict, dataclass
from typing import Any

from pipelines.sources.synthetic.config import check_bounds

GENERATOR = 2
"""Number of the recipe: it grows whenever the same config would give other content."""
MOST_ROWS = 50_000_000


@dataclass(frozen=True)
class ClicksConfig:
    """How much to generate, and how strong each order of effects is.

    The logit of a click is a bias and three independent terms: one of single fields, one of pairs, and one of
    triples of fields. What pairs and triples say is none of it said by fewer fields. Rows are drawn one like
    the other: nothing drifts in time.

    Args:
        rows: so many.
        seed: same config, same content.
        click_rate: share of clicks that is aimed at.
        first, second, third: standard deviation of each term, in logits.
        block: rows that are drawn together, and stand in one file.

    Raises:
        MarqueeError: a value is out of its range.
    """

    rows: int = 200_000
    seed: int = 0
    click_rate: float = 0.25
    first: float = 1.0
    second: float = 0.9
    third: float = 0.45
    block: int = 500_000

    def __post_init__(self) -> None:
        bounds: dict[str, tuple[float, float]] = {
            "rows": (1, MOST_ROWS),
            "seed": (0, 2**63 - 1),
            "click_rate": (0.01, 0.99),
            "first": (0, 5),
            "second": (0, 5),
            "third": (0, 5),
            "block": (1, 1_000_000),
        }
        check_bounds(self, bounds, "Synthetic clicks")

    @property
    def blocks(self) -> int:
        """How many there are."""
        return -(-self.rows // self.block)

    @property
    def marker(self) -> dict[str, Any]:
        """What a finished folder says of itself."""
        return {"generator": GENERATOR, "config": asdict(self)}
