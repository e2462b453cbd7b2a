"""The modules that are mutated, and the tests that have to see it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """Modules that the same tests stand for.

    Args:
        modules, tests: files, from the root.
    """

    modules: tuple[str, ...]
    tests: tuple[str, ...]


def _in(folder: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}.py" for name in names)


GROUPS = {
    "incremental law and kernels": Group(
        _in(
            "pipelines/features",
            *("kernels", "pieces", "in_arrow", "incremental", "progress"),
            *("computation", "comparison", "news"),
        ),
        _in(
            "tests",
            *("test_kernels", "test_comparison", "test_operations", "test_incremental", "test_any_cut"),
            *("test_feature_jobs", "test_clocks", "test_few_or_many", "test_put_back"),
        ),
    ),
    "as-of joins": Group(
        _in("feature_repo/offline", "duckdb_join", "duckdb_asof", "duckdb_sql", "latest"),
        _in("tests", "test_asof", "test_asof_store", "test_asof_saving", "test_materialize"),
    ),
    "merge in Spark's as-of join": Group(("feature_repo/offline/merge.py",), ("tests/test_asof_merge.py",)),
    "send to the online store": Group(
        _in("feature_repo/online", "send", "sqlite", "newest", "record"),
        _in("tests", "test_materialize", "test_online_whole", "test_online_killed", "test_online_sqlite"),
    ),
    "split": Group(("training/data/splits.py",), ("tests/test_splits.py",)),
}
