"""Which of a command's steps are disturbed: others leave what these leave, or nothing that anybody reads."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from tests.steps import JOURNAL, WRITES, Step

WORK = ("home/scratch/", "home/logs/")
PAGES = ("/validation/gx", "/validation/data_docs")
SPARK_COMMIT = re.compile(r"(?P<table>.*)/_delta_log/\.{1,2}(?P<version>\d{20})\.")
"""What Spark writes a commit and its checksums as, before they get their names."""
TABLE = re.compile(r"home/lake/(?P<table>[^./][^/]*)/")
COMMITTED = re.compile(r"/\d{20}\.json$")


def telling(steps: Sequence[Step]) -> list[Step]:
    """The steps that are disturbed; the others leave what these leave, or nothing that anybody reads.

    - What Spark computes with, and logs, no command reads.
    - Great Expectations' pages, some hundred files in the folder of one validation, are made anew by the next
      one; one of each kind of step is disturbed.
    - Of several writes to one file in a row the first and the last are: between them the file has a part of
      the same bytes.
    - Of a database's transactions the first and the last are, step by step; of each between them the step
      that commits it, which removes its journal: until then whoever opens the database undoes it, at
      whichever of its steps it ended.
    - Of tables that are written one after another the first and the last are, step by step; of each between
      them the step that commits it.
    - Of the commits that Spark writes to Delta's logs the first is, step by step; of each later one the step
      that commits it, which gives its file the name of the version.
    """
    steps = [step for step in steps if not step.place.startswith(WORK)]
    steps = tables_between_at_once(later_commits_at_once(steps))
    commits = Counter(step.place for step in steps if step.commits)
    done: Counter[str] = Counter()
    pages: set[str] = set()
    kept = []
    journal = ""
    for place, step in enumerate(steps):
        around = (*steps[max(place - 1, 0) : place], *steps[place + 1 : place + 2])
        amid_writes = step.call in WRITES and [other[:2] for other in around] == [step[:2]] * 2
        if step.call != "fdatasync":  # which is SQLite's; of the folder, too
            journal = step.place.removesuffix(JOURNAL) + JOURNAL
        commit = step.commits
        amid_transactions = 0 < done[journal] < commits[journal] - 1 and not commit
        is_page = any(part in step.place for part in PAGES)
        if not amid_writes and not amid_transactions and not (is_page and step.call in pages):
            kept.append(step)
        if is_page:
            pages.add(step.call)
        done[journal] += commit
    return kept


def tables_between_at_once(steps: Sequence[Step]) -> list[Step]:
    """The steps without those by which tables between the first and the last of several get their rows."""
    names = [(found := TABLE.match(step.place)) and found["table"] for step in steps]
    kept: list[Step] = []
    for is_table, run in groupby(zip(names, steps, strict=True), key=lambda step: step[0] is not None):
        written = list(run)
        ends = (written[0][0], written[-1][0]) if is_table else ()
        kept += [
            step for name, step in written if not is_table or name in ends or COMMITTED.search(step.place)
        ]
    return kept


def later_commits_at_once(steps: Sequence[Step]) -> list[Step]:
    """The steps without those of Spark's second and later commits that nobody but Spark would see."""
    commits = [SPARK_COMMIT.match(step.place) for step in steps]
    versions = [commit and commit["table"] + commit["version"] for commit in commits]
    first = next(filter(None, versions), None)
    return [
        step
        for step, version in zip(steps, versions, strict=True)
        if version in (None, first) or COMMITTED.search(step.place)
    ]
