"""What Java is told on a local master, so that Spark starts fast.

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


def local_settings() -> dict[str, str]:
    """Settings of a session on a local master; none while Delta's jars are not downloaded."""
    jars = delta_jars()
    if not jars:
        return {}
    archive = archive_of(jars)
    return _settings(jars, f'-XX:SharedArchiveFile="{archive}"' if archive.exists() else "")


def _settings(jars: list[Path], archive_option: str) -> dict[str, str]:
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
            [sys.executable, "-m", __spec__.name, str(made)],
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


def _typical_work(folder: str, archive: str) -> None:
    """Have Java load what the jobs need: Delta, Parquet, joins, windows, and Python workers."""
    from delta.tables import DeltaTable
    from pyspark.sql import functions as F

    from lake.spark import start_session

    more = _settings(delta_jars(), f'-XX:ArchiveClassesAtExit="{archive}"')
    session = start_session("local[2]", "2g", 2, more)
    rows = session.range(2000).select((F.col("id") % 50).alias("key"), F.timestamp_micros("id").alias("at"))
    for mode in ("overwrite", "append"):
        rows.write.format("delta").mode(mode).save(folder)
    table = session.read.format("delta").load(folder)
    counts = table.groupBy("key").agg(F.count("*").alias("n"), F.max("at").alias("last"))
    joined = table.join(counts, "key", "left").repartition(2, "key").sortWithinPartitions("key", "at")
    joined.mapInArrow(lambda batches: batches, joined.schema).write.format("noop").mode("overwrite").save()
    DeltaTable.forPath(session, folder).alias("t").merge(
        counts.alias("c"), "t.key = c.key AND t.at = c.last"
    ).whenMatchedDelete().execute()
    changes = session.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 1)
    changes.load(folder).orderBy("key").limit(5).toArrow()
    session.createDataFrame(counts.toArrow()).join(F.broadcast(counts), "key", "left_anti").count()
    session.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        _typical_work(str(Path(scratch, "table")), sys.argv[1])
