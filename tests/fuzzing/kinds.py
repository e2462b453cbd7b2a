"""The kinds of files that are tried."""

from tests.fuzzing.artefacts import artefact
from tests.fuzzing.configurations import configurations
from tests.fuzzing.features import features
from tests.fuzzing.frames import frames
from tests.fuzzing.posters import posters
from tests.fuzzing.pushed import pushed
from tests.fuzzing.sources import sources
from tests.fuzzing.tries import Attempt

KINDS: dict[str, Attempt] = {
    "sources": sources,
    "pushed": pushed,
    "artefacts": artefact,
    "configurations": configurations,
    "frames": frames,
    "features": features,
    "posters": posters,
}
