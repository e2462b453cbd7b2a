"""A user's own model, outside of the zoo, known by its import path: "my_package.my_model:ENTRY"."""

import hashlib
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path

from common.errors import MarqueeError, in_words
from training.models.config import KerasConfig, ModelConfig
from training.models.entry import Entry

EXAMPLE = "my_package.my_model:ENTRY"
PARTS = {"keras": ("build", "space"), "sklearn": ("fit", "refit", "matrix", "space")}
"""The functions that the file of each kind of model has."""
_LOADED: dict[str, tuple[Entry, str]] = {}
"""The models that were asked for by their import path, and the digest of the file of each, as it was then."""


def own_model(path: str, zoo: Mapping[str, Entry]) -> Entry:
    """The model at an import path, with all that it needs.

    The current folder is looked in too, after all others: a file there stands for no installed module.

    Args:
        path: "module:attribute"; the attribute is an `Entry`, and the module has what that names.
        zoo: whose keys and titles are taken.

    Raises:
        MarqueeError: it is no such path, the module cannot be imported, or lacks a part; or the key or the
            title is one of the zoo's.
    """
    if path in _LOADED:
        return _LOADED[path][0]
    module, name = parsed(path)
    _look_in_current_folder()
    try:
        loaded = import_module(module)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
            raise MarqueeError(
                f"There is no module {error.name} for the model {path}: run the command in the folder that"
                " has it, or install it."
            ) from error
        raise MarqueeError(f"Importing {module} for the model {path} failed: {told(error)}.") from error
    file = getattr(loaded, "__file__", None)
    entry = getattr(loaded, name, None)
    if file is None or not isinstance(entry, Entry):
        raise MarqueeError(
            f"{module} ({file or 'a folder'}) has no {name} that is an Entry of training.models, which the"
            f" model {path} asks for."
        )
    if any(entry.key == other.key or entry.title == other.title for other in zoo.values()):
        raise MarqueeError(
            f"The model {path} has the key {entry.key} and the title {entry.title}, of which one is taken by"
            " a model of the zoo: choose another."
        )
    if not re.fullmatch(r"[a-z][a-z0-9_]*", entry.key):
        raise MarqueeError(
            f"The model {path} has the key {entry.key!r}, which names files: give it small letters, digits"
            " and underscores only."
        )
    _check_parts(loaded, entry, path)
    digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12]
    return _LOADED.setdefault(path, (replace(entry, path=path), digest))[0]


def parsed(path: str) -> tuple[str, str]:
    """Module and attribute of an import path.

    Raises:
        MarqueeError: it is none.
    """
    module, _, name = path.partition(":")
    if not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise MarqueeError(
            f"'{path}' is no import path of a model: write it as module:attribute, such as {EXAMPLE}."
        )
    return module, name


def code_of(entry: Entry) -> dict[str, str]:
    """The digest of the file of a user's own model, by the module's name; nothing of one of the zoo."""
    if not entry.path:
        return {}
    return {parsed(entry.path)[0]: _LOADED[entry.path][1]}


def refuse_code_in(folder: Path, model: str) -> None:
    """Refuse a model whose module lies in a folder of data: what comes with data is not run.

    Nothing is imported to find out.

    Args:
        folder: of data, such as an artefact.
        model: as a recipe names it.

    Raises:
        MarqueeError: naming the file.
    """
    if ":" not in model:
        return
    for place in _places(parsed(model)[0]):
        if place.resolve().is_relative_to(folder.resolve()):
            raise MarqueeError(
                f"{folder} names the model {model}, whose code {place} lies within it: code that comes with"
                " an artefact is not run."
            )


def told(error: BaseException) -> str:
    """What an exception says, and the line that raised it."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename[:1] != "<"]
    raised = "" if isinstance(error, SyntaxError) else f", {frames[-1].filename}:{frames[-1].lineno}"
    return f"{in_words(error)} ({type(error).__name__}{raised})"


def failed_in(errors: Iterable[BaseException]) -> str | None:
    """The own model, and its line, in which one of these errors arose; None where none did."""
    files = {entry.module.__file__: path for path, (entry, _) in _LOADED.items()}
    for error in errors:
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if frame.filename in files:
                return f"{files[frame.filename]} ({frame.filename}:{frame.lineno})"
    return None


def _check_parts(module: object, entry: Entry, path: str) -> None:
    """Refuse a file without a part that its entry needs.

    Raises:
        MarqueeError: naming it.
    """
    base = KerasConfig if entry.kind == "keras" else ModelConfig
    kind = getattr(module, entry.config, None)
    if not (isinstance(kind, type) and issubclass(kind, base)):
        raise MarqueeError(f"The model {path} has no {base.__name__} {entry.config} in its file.")
    for name in PARTS.get(entry.kind, ()):
        if not callable(getattr(module, name, None)):
            raise MarqueeError(f"The model {path} has no function {name} in its file.")


def _look_in_current_folder() -> None:
    here = _current_folder()
    if here not in sys.path:
        sys.path.append(here)


def _current_folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed
        return ""


def _places(module: str) -> Iterator[Path]:
    """The files and folders that importing a module would run or look in; none where it is not found."""
    name, places = "", [*sys.path, _current_folder()]
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        found = PathFinder.find_spec(name, places)
        if found is None:
            return
        places = list(found.submodule_search_locations or ())
        yield from map(Path, places)
        if found.has_location and found.origin is not None:
            yield Path(found.origin)
