"""Starts Spark's Python workers with the pyspark that is installed; for local masters.

Spark puts pyspark's sources first on its workers' path as an archive, and the jar of its own core too.
Sources in an archive are compiled anew at every start, and its directory is read anew for every task.
"""

import sys
from pathlib import Path


def take_archives_from_path() -> None:
    """Leave only folders on the path that modules are imported from."""
    for place in [place for place in sys.path if Path(place).is_file()]:
        sys.path.remove(place)
        sys.path_importer_cache.pop(place, None)


if __name__ == "__main__":
    take_archives_from_path()
    # Workers are forks of this process: what all of them need is imported once.
    import pyarrow.compute  # noqa: F401
    from pyspark.daemon import manager

    manager()  # type: ignore[no-untyped-call]
