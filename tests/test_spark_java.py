"""What Java is told: only where Delta's jars are there, and never an archive that is not."""

from pathlib import Path

import pytest

from lake import spark_java


@pytest.fixture(autouse=True)
def downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Delta's jars of the version that is installed, one of another, and one that Spark has itself."""
    version = spark_java.metadata.version("delta-spark")
    names = [
        f"io.delta_delta-spark_4.1_2.13-{version}.jar",
        f"io.delta_delta-storage-{version}.jar",
        "io.delta_delta-storage-1.0.0.jar",
        "io.unitycatalog_unitycatalog-client-0.4.1.jar",
        "org.slf4j_slf4j-api-2.0.13.jar",
    ]
    (tmp_path / "jars").mkdir()
    for name in names:
        (tmp_path / "jars" / name).write_text(name)
    monkeypatch.setattr(spark_java, "JARS", tmp_path)
    monkeypatch.setattr(spark_java, "ARCHIVES", tmp_path / "archives")
    return tmp_path


def test_without_delta_jars_nothing_is_told(downloaded: Path) -> None:
    for jar in downloaded.glob("jars/*delta-spark*"):
        jar.unlink()
    assert spark_java.driver_settings() == {}
    assert not spark_java.make_archive()


def test_delta_of_the_installed_version_is_on_the_class_path() -> None:
    settings = spark_java.driver_settings()
    version = spark_java.metadata.version("delta-spark")
    found = [Path(name).name for name in settings["spark.driver.extraClassPath"].split(":")]
    assert found == [
        f"io.delta_delta-spark_4.1_2.13-{version}.jar",
        f"io.delta_delta-storage-{version}.jar",
        "io.unitycatalog_unitycatalog-client-0.4.1.jar",
    ]
    assert "SharedArchiveFile" not in settings["spark.driver.extraJavaOptions"]


def test_an_archive_serves_the_jars_that_it_was_made_of() -> None:
    archive = spark_java.archive_of(spark_java.delta_jars())
    archive.parent.mkdir()
    archive.write_bytes(b"")
    told = spark_java.driver_settings()["spark.driver.extraJavaOptions"]
    assert told.endswith(f'-XX:SharedArchiveFile="{archive}"'), "quoted: the path may have spaces"
    spark_java.delta_jars()[0].touch()
    assert "SharedArchiveFile" not in spark_java.driver_settings()["spark.driver.extraJavaOptions"]
