"""Puts what the benchmarks measured into docs/performance.md.

    python benchmarks/pit_join.py --json docs/performance/pit_join.json    (and so on for the others)
    python benchmarks/report.py

Of a page, what lies between `<!-- NAME -->` and `<!-- /NAME -->` is made of `docs/performance/NAME.json`; a
benchmark without such a file leaves its place as it is. The README shows the joins beside Feast's own.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE, README = ROOT / "docs" / "performance.md", ROOT / "README.md"
FIGURES = PAGE.with_suffix("")
BESIDE_FEAST = ("feast dask", "feast duckdb", "feast spark", "ours duckdb", "ours spark")

Result = dict[str, Any]


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown; all columns but the first to the right."""
    lines = [headings, ["---", *("---:" for _ in headings[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float | None, form: str = ".1f") -> str:
    return "–" if value is None else format(value, form)


def commands(results: Sequence[Result]) -> str:
    """Commands down, beside what they cost at another commit."""
    now = {result["command"]: result for result in results if result["commit"] == "now"}
    before = {result["command"]: result for result in results if result["commit"] != "now"}
    rows = []
    for name, result in now.items():
        other = before.get(name)
        rows.append(
            [
                name,
                *(number(result[what], ".2f") for what in ("seconds", "cpu", "peak_gb")),
                number(other and other["seconds"], ".2f"),
                number(other and result["seconds"] / other["seconds"], ".2f"),
            ]
        )
    return table(["command", "seconds", "CPU s", "peak GB", "seconds before", "ratio"], rows)


def pit_join(results: Sequence[Result]) -> str:
    rows = [
        [
            result["contender"],
            f"{result['labels']:,} / {result['rows']:,}",
            number(result["seconds"], ".2f"),
            number(result.get("again"), ".2f"),
            number(result["ratio"]),
            number(result["peak_gb"]),
            result["result"],
        ]
        for result in results
    ]
    return table(["store", "labels / rows", "seconds", "again", "× bare DuckDB", "peak GB", "result"], rows)


def beside_feast(results: Sequence[Result]) -> str:
    """The joins that Feast's own stores were measured on too."""
    found = {(result["contender"], result["labels"], result["rows"]): result for result in results}
    sizes = sorted({(labels, rows) for who, labels, rows in found if who in BESIDE_FEAST[:2]})
    lines = []
    for who in BESIDE_FEAST:
        line = [who]
        for size in sizes:
            result = found.get((who, *size), {})
            seconds = number(result.get("seconds"), ".2f")
            if result.get("again"):
                seconds += f", then {result['again']:.2f}"
            if result.get("result", "equal") != "equal":
                seconds += f" ({result['result']})"
            line += [seconds, number(result.get("peak_gb"))]
        lines.append(line)
    headings = [text for n, rows in sizes for text in (f"{n:,} labels, {rows:,} rows: seconds", "peak GB")]
    return table(["store", *headings], lines)


def feature_build(results: Sequence[Result]) -> str:
    rows = [
        [
            result["contender"],
            f"{result['ratings']:,}",
            number(result["seconds"]),
            number(result["ratio"], ".2f"),
            number(result["cpu_seconds"]),
            number(result["cpu_ratio"], ".2f"),
            number(result["peak_gb"]),
            result["result"],
        ]
        for result in results
    ]
    headings = ["who", "ratings", "seconds", "× Polars", "CPU s", "× Polars", "peak GB", "result"]
    return table(headings, rows)


def incremental(results: Sequence[Result]) -> str:
    rows = []
    for result in results:
        shares = [result.get(name) for name in ("share", "cpu_share")]
        rows.append(
            [
                result["variant"],
                f"{result.get('new', 0):,} to {result['ratings']:,}",
                *(number(result.get(name)) for name in ("add", "update", "full")),
                *(number(share, ".0%") for share in shares),
                number(result["peak_gb"]),
                result["result"],
            ]
        )
    headings = ["new ratings", "how many", "adding, s", "jobs, s", "full build, s", "jobs / full", "in CPU s"]
    return table([*headings, "peak GB", "result"], rows)


def materialize(results: Sequence[Result]) -> str:
    rows = [
        [
            result["contender"],
            f"{result['changed']:,} of {result['keys']:,} in {result['rows']:,} rows",
            number(result["seconds"], ".2f"),
            number(result["ratio"]),
            number(result["peak_gb"]),
            result["failure"] or f"{result['stale']} stale",
        ]
        for result in results
    ]
    return table(["who", "changed keys", "seconds", "× bare write", "peak GB", "online afterwards"], rows)


def road(results: Sequence[Result]) -> str:
    rows = [
        [
            result["stage"],
            f"{result['ratings']:,}",
            number(result["seconds"], ".0f"),
            number(result["peak_gb"]),
            number(result["home_gb"]),
            result["failure"] or "done",
        ]
        for result in results
    ]
    return table(["stage", "ratings", "seconds", "peak GB", "GB on disk so far", "result"], rows)


def train_cpu(results: Sequence[Result]) -> str:
    rows = [
        [
            result["contender"],
            f"{result['samples_per_cpu_second']:,.0f}",
            f"{result['samples_per_second']:,.0f}",
            number(result["of_deepctr"], ".2f"),
            number(result["cost_of_din"], ".2f"),
            number(result["peak_gb"]),
        ]
        for result in results
    ]
    headings = ["who", "samples / CPU s", "samples / s", "× DeepCTR", "CPU s, × din", "peak GB"]
    return table(headings, rows)


def train_clicks(results: Sequence[Result]) -> str:
    """Models down; ours beside each peer, and how many times the faster one's speed ours has."""
    speed = {result["contender"]: result["samples_per_cpu_second"] for result in results}
    of_peer = {result["contender"]: result["of_faster_peer"] for result in results}
    rows = [
        [
            name,
            *(
                f"{speed[key]:,.0f}" if key in speed else ""
                for key in (name, f"deepctr:{name}", f"fuxictr:{name}")
            ),
            number(of_peer[name], ".2f"),
        ]
        for name in speed
        if ":" not in name
    ]
    return table(["model", "samples / CPU s", "DeepCTR", "FuxiCTR", "× the faster peer"], rows)


def read_clicks(results: Sequence[Result]) -> str:
    scanned = next(result["rows_per_second"] for result in results if result["step"] == "scan")
    rows = [
        [
            result["step"],
            f"{result['rows_per_second']:,.0f}",
            number(scanned / result["rows_per_second"], ".2f"),
            number(result["peak_gb"]),
        ]
        for result in results
    ]
    return table(["what", "rows / s", "time, × scan", "peak GB"], rows)


def train_gpu(results: Sequence[Result]) -> str:
    rows = [
        [
            result["model"],
            f"{result['rows']:,}",
            f"{result['samples_per_second']:,.0f}",
            number(result["busy"], ".0%"),
            number(result["resident_gb"], ".2f"),
            result["device"],
        ]
        for result in results
    ]
    return table(["model", "rows", "samples / s", "busy", "GB resident", "device"], rows)


TABLES: dict[str, Callable[[Sequence[Result]], str]] = {
    make.__name__: make
    for make in (
        *(commands, pit_join, feature_build, incremental, road, materialize),
        *(train_cpu, train_clicks, read_clicks, train_gpu),
    )
}


def fill(page: Path, name: str, measured: str, make: Callable[[Sequence[Result]], str]) -> None:
    """Put what one benchmark found into its place on a page, if it was run."""
    place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    text = page.read_text()
    if not place.search(text):
        raise SystemExit(f"{page} has no place for {name}: put <!-- {name} --> and <!-- /{name} --> there.")
    figures = FIGURES / f"{measured}.json"
    if not figures.exists():
        print(f"{name}: not measured, left as it is")
        return
    found = json.loads(figures.read_text())
    about = ", ".join(f"{what} {value}" for what, value in found["machine"].items())
    made = f"{make(found['results'])}\n\nMeasured on: {about}."
    page.write_text(place.sub(lambda found: f"{found[1]}{made}\n{found[2]}", text))
    print(f"{name}: written")


def main() -> None:
    for name, make in TABLES.items():
        fill(PAGE, name, name, make)
    fill(README, beside_feast.__name__, pit_join.__name__, beside_feast)


if __name__ == "__main__":
    main()
