"""What Java is told, so that Spark starts fast.

Most of a short job is Java getting ready: it reads and verifies some ten thousand classes, and compiles what
it runs twice, the second time at length. Hence an archive of loaded classes (JEP 350), made once an
environment, and a second compiler that waits for ten times as many calls, which jobs of minutes still reach.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

JARS = Path.home() / ".ivy2"
"""Where Spark keeps the jars that it downloads. Java's own idea of a home may be another than the shell's."""
ARCHIVES = Path(sys.prefix) / "share" / "marquee"
"""An archive names the environment's jars by path, and goes where the environment goes."""
PATIENT_COMPILER = (
    "-XX:Tier4InvocationThreshold=50000 -XX:Tier4MinInvocationThreshold=6000 "
    "-XX:Tier4CompileThreshold=150000 -XX:Tier4BackEdgeThreshold=400000"
)
# An archive that does not fit, say after Java was updated, is passed over without a word.
QUIET = "-Xshare:auto -Xlog:cds=off -Xlog:cds+dynamic=off"


def driver_settings() -> dict[str, str]:
    """Settings of the driver, which runs here with any master; none while Delta's jars are not downloaded."""
    jars = delta_jars()
    if not jars:
        return {}
    archive = archive_of(jars)
    return java_settings(jars, f'-XX:SharedArchiveFile="{archive}"' if archive.exists() else "")


def java_settings(jars: list[Path], archive_option: str) -> dict[str, str]:
    """Settings with Delta's jars on the class path, and an option of Java about the archive."""
    return {
        # Classes of jars that are added later, as by --packages, cannot be archived.
        "spark.driver.extraClassPath": os.pathsep.join(map(str, jars)),
        "spark.driver.extraJavaOptions": f"{PATIENT_COMPILER} {QUIET} {archive_option}".rstrip(),
    }


def java_launcher() -> str:
    """The `java` that Spark starts."""
    java_home = os.environ.get("JAVA_HOME")
    return str(Path(java_home, "bin", "java")) if java_home else "java"


def delta_jars() -> list[Path]:
    """Delta's jars as downloaded; of all else that came with them Spark has its own. Empty if not there."""
    jars = sorted(JARS.glob(f"jars/io.delta_*-{metadata.version('delta-spark')}.jar"))
    if not any("_delta-spark_" in jar.name for jar in jars):
        return []
    return [*jars, *sorted(JARS.glob("jars/io.unitycatalog_*.jar"))]


def archive_of(jars: list[Path]) -> Path:
    """Where the archive of these jars lies, or would."""
    java = Path(shutil.which(java_launcher()) or "java").resolve()
    parts = [metadata.version("pyspark")]
    parts += [f"{path} {path.stat().st_mtime_ns}" for path in (java, *jars) if path.exists()]
    return ARCHIVES / f"spark-{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:16]}.jsa"


def make_archive() -> bool:
    """Make the archive, by a run of Spark of its own; whether there is one now.

    Spark works without: where Java will not make one, nothing is lost but time.
    """
    jars = delta_jars()
    if not jars:
        return False
    archive = archive_of(jars)
    ARCHIVES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ARCHIVES) as folder:
        made = Path(folder, archive.name)
        # Java writes as it ends, after Python: its end is when nobody holds the captured output any more.
        run = subprocess.run(
            [sys.executable, "-m", "lake.spark_archive", str(made)],
            capture_output=True,
            cwd=Path(__file__).parents[1],
        )
        if run.returncode != 0 or not made.exists() or not _can_be_read(made):
            return False
        for old in ARCHIVES.glob("spark-*.jsa"):
            old.unlink()
        made.replace(archive)
    return True


def _can_be_read(archive: Path) -> bool:
    """Whether Java starts with it: of an archive that was cut off it would die."""
    tried = [java_launcher(), *QUIET.split(), f"-XX:SharedArchiveFile={archive}", "-version"]
    return subprocess.run(tried, capture_output=True, cwd=archive.parent).returncode == 0
