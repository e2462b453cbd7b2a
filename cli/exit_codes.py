"""One command, run to its end: whatever goes wrong in it becomes one sentence and an exit code.

| exit code | means |
|---|---|
| 0 | done |
| 1 | a mistake of ours: the sentence names the log that has the traceback |
| 2 | something that a person can mend: the sentence says what, where, and how |
| 130, 143 | Ctrl-C, SIGTERM |
| 141 | whoever read the output closed it |
"""

import sys
import traceback
from io import TextIOWrapper
from pathlib import Path

from common import signals

OUTPUT_CLOSED = 141


def run() -> int:
    """Run the command that was typed; its exit code."""
    chosen = None
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.encoding.lower() != "utf-8":
        sys.stdout.reconfigure(errors="replace")  # such as the ticks of a table, in an old locale
    try:
        import logging

        from cli.commands import app
        from cli.options import Chosen

        if not sys.warnoptions:
            # Feast shows all libraries' deprecation warnings, which Python hides; they are not for people.
            logging.captureWarnings(True)
        chosen = Chosen()
        ended = app(standalone_mode=False, obj=chosen)
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # which Typer answers so
            return OUTPUT_CLOSED
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # After a signal libraries raise anything.
        return 130 if signals.received() else answer(error, chosen.home if chosen else None)
    return ended if isinstance(ended, int) else 0


def answer(error: BaseException, home: Path | None) -> int:
    """Say in one sentence what went wrong; the exit code.

    Args:
        home: as the command line gives it.
    """
    from typer.exceptions import TyperException

    from app.faults import in_a_sentence
    from common.errors import causes, in_words, mendable
    from common.logs import write_traceback
    from common.settings import home_or_default

    if isinstance(error, TyperException):
        say(error.format_message())
        return 2
    refusal = _refused_output(error)
    if refusal is not None:
        say(f"What this command prints cannot be written ({refusal}); its work may be done.")
        return 2
    known = mendable(error)
    if known is not None:
        say(str(known))
        return 2
    home = home_or_default(home)
    log = write_traceback(error, home)
    where = "" if log is None else f" Traceback: {log}"
    sentence = in_a_sentence(error, home)
    if sentence is not None:
        say(sentence + where)
        return 2
    *_, first = causes(error)
    say(f"This is a mistake of Marquee's own ({type(first).__name__}: {in_words(first)}).{where}")
    return 1


def _refused_output(error: BaseException) -> str | None:
    """Why standard output takes nothing, where that is what went wrong: it was refused to what prints."""
    if not isinstance(error, OSError) or error.filename is not None:
        return None
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    prints = bool(frames) and frames[-1].f_globals["__name__"].partition(".")[0] in ("cli", "rich", "typer")
    return error.strerror if prints else None


def say(sentence: str) -> None:
    """Print an error on standard error, on one line."""
    from rich.console import Console
    from rich.text import Text

    from common.logs import without_passwords

    if sentence:  # none where no command was given: its help was printed
        line = without_passwords(" ".join(sentence.split("\n")))
        Console(stderr=True, soft_wrap=True).print(Text.assemble(("Error: ", "bold red"), line))
