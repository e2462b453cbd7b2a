"""All commands. They import what they need inside their bodies: `--help` is instant."""

import os

import typer

from cli import audit, data, doctor, features, home, models, pipeline, reproduce, run
from cli.options import GROUP
from common.quick_start import leave_types_unchecked

# Before anything imports TensorFlow: its start-up notes are not for people.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Threads that wait for each other must sleep, not spin: on a shared machine boosting trees spun for minutes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

leave_types_unchecked()

app = typer.Typer(help="Point-in-time-correct features for movie recommendation.", **GROUP)
for group in (data, pipeline, features, home, audit):
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
