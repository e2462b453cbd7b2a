"""How fast rows of a click log come to a model, shuffled, beside a plain scan and FuxiCTR's loader of blocks.

    python benchmarks/read_clicks.py [--rows N] [--fuxictr PYTHON] [--json FILE] [--quick]

A synthetic log of Criteo's shape in the lake, in batches of 4096. `scan` reads all columns of the table by
PyArrow and does nothing with them: the limit for whatever reads the table anew in each epoch. Ours turns
fields into arrays once, `inputs` (vocabularies in one pass over the training rows, then the arrays), and each
`epoch` takes its batches from these: blocks in random order, and the rows of each. FuxiCTR reads the same
arrays, as Parquet, a file for each block, and shuffles rows in a buffer as large as a block. Each runs in a
process of its own; peak memory is that of the process and its children.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import machine, run_child, warn_if_busy

sys.path.insert(0, str(Path(__file__).parents[1]))

ROWS, QUICK_ROWS, BATCH, BLOCK, LEAST = 3_000_000, 300_000, 4096, 250_000, 10
EPOCHS = 2
FUXICTR = "fuxictr"


def scan(home: Path, rows: int) -> None:
    """All columns of the table, batch by batch."""
    from lake.tables import rows_of

    began = time.perf_counter()
    read = sum(batch.num_rows for batch in rows_of(home / "lake", "clicks_synthetic").to_batches())
    assert read == rows
    _tell(rows, time.perf_counter() - began)


def inputs(home: Path, rows: int) -> None:
    """Vocabularies, and the arrays of all rows; they stay for the next."""
    import numpy as np

    from training.data.storage import Streamed
    from training.inputs.config import InputConfig

    streamed, scratch = _streamed(home)
    config = InputConfig(logarithmic=True, numeric=False, bucketised=False, min_category_count=LEAST)
    began = time.perf_counter()
    every = np.arange(rows)
    spec = streamed.fit(every, config)
    assert isinstance(streamed, Streamed)
    (arrays,) = streamed.arrays(spec, every)
    seconds = time.perf_counter() - began
    held = {
        name: {"path": str(array.path), "dtype": str(array.dtype), "shape": list(array.shape)}  # type: ignore[attr-defined]
        for name, array in arrays.items()
    }
    sizes = {item.name: spec.size(item.vocabulary) for item in spec.inputs}  # type: ignore[union-attr]
    (scratch / "arrays.json").write_text(json.dumps({"arrays": held, "sizes": sizes}))
    _tell(rows, seconds)


def epoch(home: Path, rows: int) -> None:
    """Every row in shuffled batches, on average over some epochs."""
    import numpy as np

    from training.data.storage import OnDisk
    from training.fit.batches import Batches

    held = json.loads((home / "scratch" / "arrays.json").read_text())["arrays"]
    arrays: Any = {
        name: OnDisk(Path(of["path"]), np.dtype(of["dtype"]), tuple(of["shape"]), BLOCK)
        for name, of in held.items()
    }
    batches = Batches(arrays, np.zeros(rows, bool), BATCH, seed=0)
    began = time.perf_counter()
    for _ in range(EPOCHS):
        for place in range(len(batches)):
            batches[place]
        batches.on_epoch_end()
    _tell(rows * EPOCHS, time.perf_counter() - began)


FUXICTR_PROGRAM = """
import json, sys, time
from fuxictr.features import FeatureMap
from fuxictr.pytorch.dataloaders.parquet_block_dataloader import ParquetBlockDataLoader
folder, rows, batch, block, names = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5].split(",")
features = FeatureMap("rows", folder)
for name in names:
    features.features[name] = {"source": "", "type": "categorical", "vocab_size": 2}
features.labels = ["clicked"]
features.set_column_index()
loader = ParquetBlockDataLoader(features, folder, batch_size=batch, shuffle=True, buffer_size=block)
began = time.perf_counter()
read = sum(len(one["clicked"]) for one in loader)
assert read == rows
print(json.dumps({"rows": rows, "seconds": time.perf_counter() - began}))
"""


def fuxictr(home: Path, rows: int, python: str) -> None:
    """The same arrays as Parquet, through FuxiCTR's loader; passes on what it prints."""
    names = ",".join(json.loads((home / "scratch" / "arrays.json").read_text())["arrays"])
    arguments = [str(home / "blocks"), str(rows), str(BATCH), str(BLOCK), names]
    done = subprocess.run([python, "-c", FUXICTR_PROGRAM, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit((done.stderr.strip().splitlines() or ["FuxiCTR failed"])[-1])
    print(done.stdout.strip().splitlines()[-1])


def write_blocks(home: Path, rows: int) -> None:
    """The arrays as Parquet, a file for each block."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    held = json.loads((home / "scratch" / "arrays.json").read_text())["arrays"]
    arrays = {
        name: np.memmap(of["path"], of["dtype"], "r", shape=tuple(of["shape"])) for name, of in held.items()
    }
    (home / "blocks").mkdir()
    for number, start in enumerate(range(0, rows, BLOCK)):
        columns = {name: np.asarray(array[start : start + BLOCK]) for name, array in arrays.items()}
        table = pa.table({**columns, "clicked": np.zeros(len(next(iter(columns.values()))), np.float32)})
        pq.write_table(table, home / "blocks" / f"{number:04}.parquet")


def _streamed(home: Path) -> tuple[Any, Path]:
    from feature_repo.domains.clicks import LOGS
    from lake.tables import require_rows
    from training.data.log import files_in_order
    from training.data.service import service_of
    from training.data.storage import Streamed

    domain = LOGS["synthetic_clicks"]
    files = files_in_order(require_rows(home / "lake", domain.events.name), domain.events)
    scratch = home / "scratch"
    scratch.mkdir(exist_ok=True)
    return Streamed(files, service_of(domain, domain.events.name), BLOCK, scratch), scratch


def _tell(rows: int, seconds: float) -> None:
    print(json.dumps({"rows": rows, "seconds": seconds}))


STEPS: dict[str, Callable[[Path, int], None]] = {"scan": scan, "inputs": inputs, "epoch": epoch}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--fuxictr", help="Python of an environment with FuxiCTR and torch")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROWS:,} rows")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        step, home, rows, python = asked.child
        if step == FUXICTR:
            fuxictr(Path(home), int(rows), python)
        else:
            STEPS[step](Path(home), int(rows))
        return
    rows = QUICK_ROWS if asked.quick else asked.rows
    about = machine()
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        options = ["--source", "synthetic-clicks", "--rows", str(rows), "--home", folder]
        root = Path(__file__).parents[1]
        subprocess.run(
            [sys.executable, "-m", "cli.main", "pipeline", "ingest", *options], check=True, cwd=root
        )
        warn_if_busy()
        results = [measured(step, home, rows, "") for step in STEPS]
        if asked.fuxictr:
            write_blocks(home, rows)
            results.append(measured(FUXICTR, home, rows, asked.fuxictr))
    results = [result for result in results if result]
    scanned = next(result["rows_per_second"] for result in results if result["step"] == "scan")
    print(f"\n{'':12}{'rows/s':>12}{'× scan time':>13}{'peak GB':>9}")
    for result in results:
        times = scanned / result["rows_per_second"]
        print(
            f"{result['step']:12}{result['rows_per_second']:>12,.0f}{times:>13.2f}{result['peak_gb']:>9.1f}"
        )
    if asked.json:
        asked.json.write_text(
            json.dumps({"machine": about, "rows": rows, "results": results}, indent=2) + "\n"
        )


def measured(step: str, home: Path, rows: int, python: str) -> dict[str, Any]:
    """What a step costs; nothing where it fails, which is printed."""
    found = run_child([__file__, "--child", step, str(home), str(rows), python], timeout=1800, memory_gb=14)
    if found.failure:
        print(f"{step}: {found.failure}", flush=True)
        return {}
    speed = found.report["rows"] / found.report["seconds"]
    return {"step": step, "rows_per_second": speed, "peak_gb": found.peak_gb}


if __name__ == "__main__":
    main()
