"""A model's configuration, searched on the validation rows."""

from dataclasses import dataclass
from pathlib import Path

from app.home import writing
from common.files import file_to_write
from common.progress import Stages
from common.settings import Settings
from common.words import count


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """How to search.

    Args:
        protocol: "honest", or "paper", which leaks the future.
        trials: in all, those of earlier calls included.
        seeds: trainings that each trial is the mean of.
        study: SQLite file of the search; by default one in the home.
        config: file of settings that stay as they are.
        out: file for what was found; by default one in the home.
    """

    protocol: str = "honest"
    trials: int = 50
    seeds: int = 1
    study: Path | None = None
    config: Path | None = None
    out: Path | None = None


def tune(settings: Settings, model: str, options: TuneOptions, command: str, stages: Stages) -> Path:
    """Search a model's configuration, never on the test rows; called again, it goes on where it was.

    Args:
        command: as it was typed, which the file records.

    Returns:
        The file of what was found.

    Raises:
        MarqueeError: the model or the protocol is unknown, or a file cannot be used.
    """
    from feature_repo.store import open_store
    from training.fit.run import check_protocol, prepare
    from training.fit.tune import tune
    from training.fit.tuned import Tuned, read_tuned, write_tuned
    from training.models import model as entry_of

    entry = entry_of(model)
    check_protocol(options.protocol)
    fixed = {} if options.config is None else read_tuned(options.config, model).config
    file = file_to_write(options.out or settings.home / "tuned" / f"{model}.{options.protocol}.yaml")
    study = file_to_write(options.study or settings.home / "tuned" / "studies.db")
    with writing(settings.home), stages.stage(f"tune {model}") as stage:
        stage.report("joining features to labels", 0, 0)
        store = open_store(settings)
        prepared = prepare(store, settings.lake, entry.service, protocol=options.protocol)

        def told(number: int, of: int, best: float) -> None:
            left = stage.seconds / max(number, 1) * (of - number)
            stage.report(f"best validation AUC {best:.4f}, at most {left / 60:.0f} min left", number, of)

        found = tune(
            prepared,
            model,
            study,
            trials=options.trials,
            seeds=options.seeds,
            config=fixed,
            on_trial=told,
        )
        stage.outcome = (
            f"validation ROC-AUC {found.validation_auc:.4f}, best of {found.trials} trials"
            f" ({found.pruned} more given up early)"
        )
    versions = ", ".join(f"{name} {version}" for name, version in sorted(prepared.versions.items()))
    write_tuned(
        Tuned(
            model=model,
            config=found.config,
            command=command,
            protocol=options.protocol,
            data=f"{count(prepared.asked)} labels; versions of tables: {versions}",
            validation_auc=found.validation_auc,
            trials=found.trials,
            pruned=found.pruned,
        ),
        file,
    )
    return file
