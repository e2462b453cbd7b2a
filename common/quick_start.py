"""Leaves out what libraries do when they are imported and nobody here uses."""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

CHECKER = "typeguard"


def leave_types_unchecked() -> None:
    """Let Feast be imported without run-time checks of its types.

    They check the arguments of its classes, which mypy does for us. To that end typeguard reads, rewrites and
    compiles most of Feast anew at each start: three quarters of the time that importing it takes.
    """
    if CHECKER not in sys.modules:
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds typeguard, once, as whoever is asked next does."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if fullname != CHECKER:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    """Loads it, with a decorator that leaves what it decorates as it is."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        module.typechecked = _unchecked  # type: ignore[attr-defined]


def _unchecked(target: Any = None, **_: Any) -> Any:
    return target if target is not None else _unchecked
