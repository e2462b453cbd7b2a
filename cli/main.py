"""`marquee`: the command line. Commands import what they need inside their bodies: `--help` is instant."""

import logging
import os
import sys
from typing import NoReturn

import typer
from typer.exceptions import TyperException

from cli import audit, data, doctor, features, models, pipeline, reproduce, run
from cli.options import GROUP
from common.errors import MarqueeError
from common.quick_start import leave_types_unchecked

# Before anything imports TensorFlow: its start-up notes are not for people.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Threads that wait for each other must sleep, not spin: on a shared machine boosting trees spun for minutes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

leave_types_unchecked()

app = typer.Typer(help="Point-in-time-correct features for movie recommendation.", **GROUP)
for group in (data, pipeline, features, audit):
    app.add_typer(group.app)
for command in (
    run.run,
    pipeline.validate,
    models.train,
    models.tune,
    reproduce.reproduce,
    models.evaluate,
    run.report,
    doctor.doctor,
):
    app.command()(command)


def main() -> None:
    """Run the command line; a mistake that a person can mend is one sentence and exit code 2."""
    if not sys.warnoptions:
        # Feast shows all libraries' deprecation warnings, which Python hides; they are not for people either.
        logging.captureWarnings(True)
    try:
        sys.exit(app(standalone_mode=False))
    except MarqueeError as error:
        refuse(str(error))
    except TyperException as error:
        refuse(error.format_message())
    except Exception as error:
        from feature_repo.servers import unanswered

        sentence = unanswered(error)
        if sentence is None:
            raise
        refuse(str(sentence))


def refuse(sentence: str) -> NoReturn:
    """Say it on standard error, and exit with code 2."""
    from rich.console import Console
    from rich.text import Text

    if sentence:  # none where no command was given: its help was printed
        text = Text.assemble(("Error: ", "bold red"), sentence)
        Console(stderr=True, soft_wrap=True).print(text)
    sys.exit(2)


if __name__ == "__main__":
    main()
