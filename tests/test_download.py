"""The official archives, from a local HTTP server that cuts, lies and loses."""

import hashlib
import io
import shutil
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from common.errors import MarqueeError
from pipelines.sources import download
from pipelines.sources.download import fetch

NAME = "ml-1m"
RATINGS = "".join(
    f"{user}::{user % 17 + 1}::{user % 5 + 1}::{978300000 + user}\n" for user in range(1, 20_000)
)
FILES = {"ratings.dat": RATINGS.encode(), "movies.dat": "1::Léon (1994)::Crime\n".encode("latin-1")}


def archive(files: dict[str, bytes] | None = None, top: str = "ml-1m/") -> bytes:
    """A zip whose content is not compressed, so that it is long enough to be cut."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        for name, content in (files or FILES).items():
            zipped.writestr(zipfile.ZipInfo(f"{top}{name}"), content)
    return packed.getvalue()


@dataclass
class Site:
    """What the server has, how it behaves, and what it was asked.

    Args:
        files: by path, such as "/ml-1m.zip".
        etag: of every file; "" for a server that gives none.
        cuts: bytes after which the next transfers of a zip break off, one entry a request.
        statuses: sent instead of an answer, one entry a request.
        ranges: whether it answers a range with that range.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    etag: str = '"one"'
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    sent: int = 0
    url: str = ""

    def publish(self, content: bytes, md5: str | None = None, name: str = NAME) -> None:
        self.files[f"/{name}.zip"] = content
        self.files[f"/{name}.zip.md5"] = (md5 or f"{hashlib.md5(content).hexdigest()}  {name}.zip\n").encode()

    @property
    def zips_asked(self) -> list[str | None]:
        return [requested for path, requested in self.asked if path.endswith(".zip")]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.001)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    state = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append((self.path, wanted))
            is_zip = self.path.endswith(".zip")
            if state.statuses and is_zip:
                return self.answer(state.statuses.pop(0))
            content = state.files.get(self.path)
            if content is None:
                return self.answer(404)
            start = 0
            if wanted and state.ranges and self.headers.get("If-Range") == state.etag:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(content):
                    return self.answer(416, **{"Content-Range": f"bytes */{len(content)}"})
            headers = {"ETag": state.etag} if state.etag else {}
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            body = content[start:]
            self.send_response(206 if start else 200)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if is_zip and state.cuts:
                body = body[: state.cuts.pop(0)]
                self.close_connection = True
            state.sent += len(body)  # before whoever reads it can look
            self.wfile.write(body)
            return None

        def answer(self, status: int, **headers: str) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield state
        server.shutdown()
        thread.join()


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def assert_whole(target: Path) -> None:
    assert {path.name: path.read_bytes() for path in target.iterdir()} == FILES


def test_archive_is_unpacked_without_its_top_folder_and_nothing_else_stays(
    site: Site, tmp_path: Path
) -> None:
    site.publish(archive())
    progress: list[tuple[str, int, int]] = []
    target = fetch(NAME, tmp_path / "data", base_url=site.url, on_progress=lambda *at: progress.append(at))
    assert target == tmp_path / "data" / NAME
    assert_whole(target)
    assert left_in(tmp_path / "data") == [NAME]
    size = len(site.files[f"/{NAME}.zip"])
    assert progress[-1][1:] == (size, size)
    assert [here for _, here, _ in progress] == sorted(here for _, here, _ in progress)


def test_archive_without_a_top_folder_is_unpacked_as_it_is(site: Site, tmp_path: Path) -> None:
    site.publish(archive(top=""))
    assert_whole(fetch(NAME, tmp_path, base_url=site.url + "/"))


def test_what_is_there_is_not_fetched_again(site: Site, tmp_path: Path) -> None:
    site.publish(archive())
    fetch(NAME, tmp_path, base_url=site.url)
    asked = len(site.asked)
    assert_whole(fetch(NAME, tmp_path, base_url=site.url))
    assert len(site.asked) == asked


def test_cut_transfer_is_taken_up_where_it_broke(site: Site, tmp_path: Path) -> None:
    site.publish(archive())
    site.cuts = [100_000, 50_000]
    assert_whole(fetch(NAME, tmp_path, base_url=site.url))
    assert site.zips_asked == [None, "bytes=100000-", "bytes=150000-"]
    zip_and_md5 = sum(len(content) for content in site.files.values())
    assert site.sent == zip_and_md5  # not one byte twice


def test_later_run_takes_up_what_an_earlier_one_left(site: Site, tmp_path: Path) -> None:
    site.publish(archive())
    site.cuts = [100_000] + [0] * (download.TRIES - 1)
    with pytest.raises(MarqueeError, match=r"Cannot get http.*check the network"):
        fetch(NAME, tmp_path, base_url=site.url)
    assert not (tmp_path / NAME).exists()
    site.asked.clear()
    assert_whole(fetch(NAME, tmp_path, base_url=site.url))
    assert site.zips_asked == ["bytes=100000-"]
    assert left_in(tmp_path) == [NAME]


def test_transfers_that_make_headway_are_never_given_up(site: Site, tmp_path: Path) -> None:
    site.publish(archive())
    site.cuts = [10_000] * (3 * download.TRIES)
    assert_whole(fetch(NAME, tmp_path, base_url=site.url))


def test_server_without_ranges_starts_over(site: Site, tmp_path: Path) -> None:
    site.publish(archive())
    site.ranges = False
    site.cuts = [100_000]
    assert_whole(fetch(NAME, tmp_path, base_url=site.url))
    assert len(site.zips_asked) == 2


def test_server_without_validators_is_never_asked_for_a_range(site: Site, tmp_path: Path) -> None:
    site.publish(archive())
    site.etag = ""
    site.cuts = [100_000]
    assert_whole(fetch(NAME, tmp_path, base_url=site.url))
    assert site.zips_asked == [None, None]


def test_archive_that_changed_in_between_is_not_glued(site: Site, tmp_path: Path) -> None:
    site.publish(archive({"ratings.dat": b"9" * len(RATINGS)}))
    site.cuts = [100_000] + [0] * (download.TRIES - 1)
    with pytest.raises(MarqueeError):
        fetch(NAME, tmp_path, base_url=site.url)
    site.publish(archive())
    site.etag = '"two"'
    assert_whole(fetch(NAME, tmp_path, base_url=site.url))


def test_download_that_is_complete_but_unverified_is_not_sent_again(site: Site, tmp_path: Path) -> None:
    content = archive()
    site.publish(content)
    (tmp_path / f".{NAME}.zip.part").write_bytes(content)
    (tmp_path / f".{NAME}.zip.validator").write_text('{"validator": "\\"one\\""}')
    assert_whole(fetch(NAME, tmp_path, base_url=site.url))
    assert site.sent == len(site.files[f"/{NAME}.zip.md5"])


def test_busy_server_is_asked_again(site: Site, tmp_path: Path) -> None:
    site.publish(archive())
    site.statuses = [503, 429]
    assert_whole(fetch(NAME, tmp_path, base_url=site.url))


def test_wrong_checksum_is_an_error_and_leaves_nothing(site: Site, tmp_path: Path) -> None:
    content = archive()
    damaged = content[:5000] + bytes([content[5000] ^ 1]) + content[5001:]
    site.publish(damaged, md5=hashlib.md5(content).hexdigest())
    with pytest.raises(
        MarqueeError, match=r"corrupt \(its MD5 is [0-9a-f]{32}, and should be [0-9a-f]{32}\)"
    ):
        fetch(NAME, tmp_path, base_url=site.url)
    assert left_in(tmp_path) == []
    site.publish(content)  # mended
    assert_whole(fetch(NAME, tmp_path, base_url=site.url))


def test_checksum_is_read_in_both_usual_forms(site: Site, tmp_path: Path) -> None:
    content = archive()
    site.publish(content, md5=f"MD5 ({NAME}.zip) = {hashlib.md5(content).hexdigest().upper()}\n")
    assert_whole(fetch(NAME, tmp_path, base_url=site.url))


def test_page_instead_of_a_checksum_is_an_error(site: Site, tmp_path: Path) -> None:
    site.publish(archive(), md5="<html>welcome to the hotel's network</html>")
    with pytest.raises(MarqueeError, match="holds no MD5"):
        fetch(NAME, tmp_path, base_url=site.url)


def test_without_a_published_checksum_the_files_own_are_used_and_that_is_said(
    site: Site, tmp_path: Path
) -> None:
    content = archive()
    site.publish(content)
    del site.files[f"/{NAME}.zip.md5"]
    notes: list[str] = []
    assert_whole(fetch(NAME, tmp_path / "good", base_url=site.url, on_note=notes.append))
    assert len(notes) == 1 and "no checksum" in notes[0]
    site.files[f"/{NAME}.zip"] = content[:5000] + bytes([content[5000] ^ 1]) + content[5001:]
    with pytest.raises(MarqueeError, match=r"corrupt \(ml-1m/ratings.dat in it is damaged\)"):
        fetch(NAME, tmp_path / "bad", base_url=site.url)
    assert left_in(tmp_path / "bad") == []


@pytest.mark.parametrize("content", [b"", b"<html>not a zip</html>", archive()[:-100]])
def test_what_is_no_archive_is_an_error_and_leaves_nothing(
    site: Site, tmp_path: Path, content: bytes
) -> None:
    site.publish(content)
    with pytest.raises(MarqueeError, match="corrupt"):
        fetch(NAME, tmp_path, base_url=site.url)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("name", ["../evil", "/tmp/marquee-evil", "a/../../evil", "a\\..\\..\\evil"])
def test_archive_cannot_write_outside_its_folder(site: Site, tmp_path: Path, name: str) -> None:
    site.publish(archive({"ratings.dat": b"1", name: b"evil"}, top=""))
    with pytest.raises(MarqueeError, match="would leave its folder"):
        fetch(NAME, tmp_path / "data", base_url=site.url)
    assert left_in(tmp_path / "data") == []
    assert left_in(tmp_path) == ["data"]
    assert not Path("/tmp/marquee-evil").exists()


def test_archive_cannot_hold_links(site: Site, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        link = zipfile.ZipInfo("ml-1m/ratings.dat")
        link.external_attr = 0o120777 << 16
        zipped.writestr(link, "/etc/passwd")
    site.publish(packed.getvalue())
    with pytest.raises(MarqueeError, match="would leave its folder"):
        fetch(NAME, tmp_path, base_url=site.url)


def test_unknown_name_gets_the_nearest_right_one(tmp_path: Path) -> None:
    with pytest.raises(MarqueeError, match="'ml-25'; did you mean ml-25m"):
        fetch("ml-25", tmp_path)
    with pytest.raises(MarqueeError, match="choose one of ml-latest-small, ml-latest"):
        fetch("netflix", tmp_path)


def test_archive_that_the_server_lacks_is_one_clear_sentence(site: Site, tmp_path: Path) -> None:
    with pytest.raises(MarqueeError, match=r"There is no archive at http://.*/ml-1m.zip \(HTTP 404\)"):
        fetch(NAME, tmp_path, base_url=site.url)
    assert left_in(tmp_path) == []


@pytest.mark.usefixtures("site")
def test_no_network_is_one_clear_sentence(tmp_path: Path) -> None:
    unused = "http://127.0.0.1:9"  # the discard port: nothing listens
    with pytest.raises(
        MarqueeError, match=r"Cannot get http://127\.0\.0\.1:9/ml-1m\.zip .*check the network"
    ):
        fetch(NAME, tmp_path, base_url=unused)


def test_address_that_is_none_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(MarqueeError, match=r"is no address .* mend the base address"):
        fetch(NAME, tmp_path, base_url="http://127.0.0.1:no-port")


def test_folder_that_cannot_be_made_is_one_clear_sentence(site: Site, tmp_path: Path) -> None:
    site.publish(archive())
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(MarqueeError, match="Cannot write"):
        fetch(NAME, tmp_path / "file", base_url=site.url)


def test_second_run_at_the_same_time_is_turned_away(site: Site, tmp_path: Path) -> None:
    site.publish(archive())
    turned_away = pytest.raises(MarqueeError, match=r"Another run \(process \d+\) is fetching")
    with download._locked(tmp_path), turned_away:
        fetch(NAME, tmp_path, base_url=site.url)
    assert_whole(fetch(NAME, tmp_path, base_url=site.url))


def test_too_little_space_is_said_before_unpacking(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.publish(archive())
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(MarqueeError, match="1,000 left; free some space"):
        fetch(NAME, tmp_path, base_url=site.url)
    assert not (tmp_path / NAME).exists()
