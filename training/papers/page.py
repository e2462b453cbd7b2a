"""What reproducing a paper found, for people: rows of tables, sentences, and Markdown."""

from collections.abc import Collection, Mapping, Sequence

from feature_repo.define.task import Binary, rule_of
from training.evaluate.base_rate import base_rate
from training.evaluate.bootstrap import Interval
from training.evaluate.metrics import TITLES, better
from training.fit.configuration import committed_file
from training.papers.paper import Paper
from training.papers.results import HistoryBand, Results, VariantResult

Cells = list[list[str]]
"""A table: its head, then its rows."""
BASE_RATES = "Which rule for labels the paper's figures agree with"
BASE_RATES_TOLD = (
    "A calibrated model's log loss follows from its AUC and the share of positive rows, where its scores are"
    " nearly normal. What share that is of each of the paper's pairs can be held against those above."
)


CONFIGURED = "How the models were configured"
LEAST = (
    "Values that fewer than {least:,} training rows have are one value; published counts go over all rows,"
    " the test's too."
)
CHOSEN_ONCE = (
    "A configuration is chosen once, on rows before the test of the table that it was chosen for. The tests"
    " of other tables hold some of those rows, which flatters their models a little, and the more so the"
    " longer they were searched."
)


def table_of(paper: Paper, results: Results, protocol: str) -> Cells:
    """The paper's table, each number with the paper's behind it, and what lies between the models."""
    published = {variant.key: variant.published for variant in paper.variants}
    rows = [row for row in results.rows if row.protocol == protocol]
    known = any(row.share is not None for row in rows)
    head = ["model", *paper.shown.values(), *(["of the attainable gain"] if known else [])]
    head.append(f"{TITLES[paper.judged_by]} less {paper.variant(results.compared[protocol]).title}'s")
    ablated = [variant.ablates for variant in paper.rows_under(protocol) if variant.ablates]
    head.append(f"less {paper.variant(ablated[0]).title}'s" if ablated else "")
    cells = [head]
    for row in rows:
        line = [row.title, *(_number(row, name, published.get(row.variant, {})) for name in paper.shown)]
        if known:
            line.append("" if row.share is None else f"{row.share:.1%}")
        cells.append([*line, _interval(row.difference), _interval(row.ablated)])
    return cells if ablated else [line[:-1] for line in cells]


def leaks_table(paper: Paper, results: Results) -> Cells:
    """What each leak alone is worth."""
    rows = [[leak.leak, f"{leak.value:.4f}", f"{leak.gain:+.4f}"] for leak in results.leaks]
    return [["leak", f"{TITLES[paper.judged_by]} of {results.leak_title}", "over honest"], *rows]


def bands_table(paper: Paper, results: Results, protocol: str) -> Cells:
    """ROC-AUC and share of the attainable gain by length of history; a head alone where none is known."""
    titles = {row.variant: row.title for row in results.rows}
    bands = [band for band in results.bands if band.protocol == protocol]
    shown = [key for key in titles if bands and key in bands[0].auc]
    heading = "" if paper.histories is None else paper.histories.heading
    cells = [[heading, "test rows", "best attainable", *(titles[key] for key in shown)]]
    for band in bands:
        line = [_length(band), f"{band.rows:,}", f"{band.best_auc:.4f}"]
        cells.append(line + [f"{band.auc[key]:.4f} ({band.share(key):.0%})" for key in shown])
    return cells


def configured_table(paper: Paper, protocols: Collection[str]) -> Cells:
    """How the configuration of each model of some of a paper's tables was found: its head alone where each
    has its defaults."""
    head = ["model", "trainings", "given up early", "chosen on", "its validation value"]
    rows: dict[tuple[str, str], list[str]] = {}
    for protocol in protocols:
        name = paper.configured_as(protocol)
        for variant in paper.rows_under(protocol):
            found = committed_file(variant.model, name)
            if found is not None and (variant.model, name) not in rows:
                value = "" if found.validation is None else f"{found.validation:.4f}"
                about = f"{found.protocol or name}: {found.data}"
                rows[variant.model, name] = [
                    variant.title,
                    f"{found.trials + found.pruned:,}",
                    f"{found.pruned:,}",
                    about,
                    value,
                ]
    return [head, *rows.values()]


def configured_told(paper: Paper, protocols: Collection[str]) -> str:
    """What is to be known of the configurations, in sentences."""
    told = []
    names = [paper.configured_as(protocol) for protocol in protocols]
    if len(set(names)) < len(names):
        told.append(CHOSEN_ONCE)
    least = int(paper.config.get("inputs.min_category_count", 1))
    if least > 1:
        told.append(LEAST.format(least=least))
    return " ".join(told)


def base_rates_table(paper: Paper) -> Cells:
    """What share of positive rows each of the paper's pairs of AUC and log loss agrees with; a head alone
    where it publishes none."""
    head = ["model", "the paper's AUC", "its log loss", "positive rows at which a calibrated model has both"]
    rows = []
    for variant in paper.variants:
        found = variant.published
        if {"roc_auc", "log_loss"} <= set(found):
            rate = base_rate(found["roc_auc"], found["log_loss"])
            said = "none: it is not calibrated" if rate is None else f"{rate:.1%}"
            rows.append([variant.title, f"{found['roc_auc']:.4f}", f"{found['log_loss']:.4f}", said])
    return [head, *rows]


def label_of(paper: Paper, results: Results, protocol: str) -> str:
    """The rule that made the labels, and how often it says true."""
    task = paper.task_under(protocol)
    told = f"The label is {task.name}: {rule_of(task)}."
    parts = results.parts[protocol].values()
    if isinstance(task, Binary):
        rows = sum(of for _, of in parts)
        told = told[:-1] + f"; true of {sum(true for true, _ in parts) / rows:.1%} of {rows:,} rows."
    return told


def summary_of(paper: Paper, results: Results, protocol: str) -> list[str]:
    """What the table says, in sentences: of which labels, who is first, and what could be luck."""
    by = paper.judged_by
    rows = [row for row in results.rows if row.protocol == protocol]
    first = max((row for row in rows if row.ablated is None), key=lambda row: better(by) * row.mean[by])
    said = [label_of(paper, results, protocol), f"First is {first.title} with {first.mean[by]:.4f}."]
    full = next((row for row in rows if row.variant == paper.full), None)
    if full is not None and full.difference is not None:
        other = paper.variant(results.compared[protocol]).title
        said.append(f"{full.title} less {other}: {_interval(full.difference)}.")
    best = rows[0].best_auc
    if best is not None:
        said.append(f"The true probabilities reach {best:.4f}: nothing can do better but by luck.")
    return said


def markdown(
    paper: Paper,
    results: Results,
    command: str,
    data: str,
    figure_paths: Mapping[str, str] | None = None,
) -> str:
    """One part of the results page, from results alone.

    Args:
        paper: which.
        results: what was found.
        command: that made them.
        data: in words; the part's heading.
        figure_paths: where pictures lie, by protocol and name ("honest-figure-2"), for links.
    """
    seeds = max(row.seeds for row in results.rows)
    over = f"mean ± deviation over {seeds} seeds" if seeds > 1 else "one seed"
    lines = [
        f"## {data}",
        "",
        f"Generated by `{command}`. The paper's own data: {paper.data} ({paper.reference}).",
        "",
        f"On the test rows: {over}, and the paper's figure behind the stroke where it has one. Differences"
        f" are of the mean {TITLES[paper.judged_by]}, with the 95 % interval of a paired bootstrap over test"
        " rows. Thresholds were chosen on the validation rows.",
        "",
        f"Networks were trained with {results.made_with}. Another backend or machine gives other digits, as"
        " another seed does; the intervals are of the choice of test rows alone.",
        "",
    ]
    for protocol in dict.fromkeys(row.protocol for row in results.rows):
        lines += [
            f"### {paper.protocols[protocol].heading}",
            "",
            " ".join(summary_of(paper, results, protocol)),
            "",
        ]
        lines += [*_lines(table_of(paper, results, protocol)), ""]
        if paper.histories is not None and any(band.protocol == protocol for band in results.bands):
            lines += [f"{paper.histories.title} (share of the attainable gain in brackets):", ""]
            lines += [*_lines(bands_table(paper, results, protocol)), ""]
        for name, path in (figure_paths or {}).items():
            if name.startswith(f"{protocol}-"):
                lines += [f"![{name.split('-', 1)[1].replace('-', ' ')}]({path})"]
        lines.append("")
    configured = configured_table(paper, results.parts)
    if len(configured) > 1:
        lines += [f"### {CONFIGURED}", ""]
        told = configured_told(paper, results.parts)
        lines += [told, ""] if told else []
        lines += [*_lines(configured), ""]
    rates = base_rates_table(paper)
    if len(rates) > 1:
        lines += [f"### {BASE_RATES}", "", BASE_RATES_TOLD, "", *_lines(rates), ""]
    if results.leaks:
        lines += [
            f"### What each leak is worth to {results.leak_title}, alone",
            "",
            "Means over the seeds: what is smaller than the deviation over seeds above is noise.",
            "",
            *_lines(leaks_table(paper, results)),
            "",
        ]
    return "\n".join(lines)


def with_part(page: str, title: str, key: str, part: str) -> str:
    """A page with one part put in, in place of what it held under the same key; other parts stay.

    Args:
        page: as it is; "" for a new one.
        title: of a new page.
        key: of the part, named for its data.
        part: Markdown.
    """
    first, last = f"<!-- part {key} -->", f"<!-- end {key} -->"
    block = f"{first}\n{part.strip()}\n{last}\n"
    if first in page and last in page:
        before, rest = page.split(first, 1)
        return before + block.rstrip("\n") + rest.split(last, 1)[1]
    return (page.rstrip("\n") or f"# {title}") + "\n\n" + block


def _number(row: VariantResult, name: str, published: Mapping[str, float]) -> str:
    mine = f"{row.mean[name]:.4f}"
    if row.seeds > 1:
        mine += f" ± {row.deviation[name]:.4f}"
    return f"{mine} / {published[name]:.4f}" if name in published else mine


def _interval(found: Interval | None) -> str:
    if found is None:
        return ""
    noise = "" if found.beyond_noise else ", within noise"
    return f"{found.difference:+.4f} ({found.low:+.4f} to {found.high:+.4f}{noise})"


def _length(band: HistoryBand) -> str:
    if band.low == band.high:
        return f"{band.low}"
    return f"{band.low} and more" if band.high is None else f"{band.low} to {band.high}"


def _lines(cells: Cells) -> list[str]:
    head, *rows = cells
    return [_line(head), "|---" * len(head) + "|", *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
