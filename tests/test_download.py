"""Downloads go on where they stopped, and count only with the right checksum."""

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from switchbench.datasets import MissingData, mnist
from switchbench.datasets.download import download
from switchbench.datasets.source import Manifest, RemoteFile

CONTENT = bytes(range(256)) * 20_000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves some contents by path; can break off, and can be without ranges."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"/file": CONTENT}
        self.sent: list[int] = []
        """Bytes of each answer."""
        self.break_after: int | None = None
        self.ranges = True

    def url(self, path: str = "/file") -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        asked = self.headers.get("Range") if self.server.ranges else None
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if start >= len(content):
            self.send_error(416)
            return
        body = content[start:]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        body = body[: self.server.break_after]
        self.server.sent.append(len(body))
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Be quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    server.break_after = 3_000_000
    with pytest.raises(OSError, match="ended after 3,000,000 of 5,120,000 bytes"):
        download([server.url()], tmp_path / "file", MD5)
    assert not (tmp_path / "file").exists()
    server.break_after = None
    download([server.url()], tmp_path / "file", MD5, lambda *step: seen.append(step))
    assert server.sent == [3_000_000, 2_120_000]
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert seen[-1] == ("file", len(CONTENT), len(CONTENT))
    assert min(done for _, done, _ in seen) > 3_000_000
    download([server.url()], tmp_path / "file", MD5)
    assert len(server.sent) == 2  # it is there


@pytest.mark.parametrize("ranges", [True, False])
def test_what_was_left_of_another_file_is_thrown_away(server: Server, ranges: bool, tmp_path: Path) -> None:
    server.ranges = ranges
    for left in (b"something else", CONTENT + b"more"):
        (tmp_path / "file.part").write_bytes(left)
        download([server.url()], tmp_path / "file", MD5)
        assert (tmp_path / "file").read_bytes() == CONTENT
        (tmp_path / "file").unlink()


def test_another_mirror_is_tried(server: Server, tmp_path: Path) -> None:
    server.files["/bad"] = b"corrupt"
    download([server.url("/gone"), server.url("/bad"), server.url()], tmp_path / "file", MD5)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_wrong_checksum_never_counts(server: Server, tmp_path: Path) -> None:
    server.files["/file"] = CONTENT[:-1]
    with pytest.raises(OSError, match=f"the downloaded file does not have the MD5 {MD5}"):
        download([server.url()], tmp_path / "file", MD5)
    assert not list(tmp_path.iterdir())


def test_a_data_set_is_fetched_from_an_archive_and_only_once(server: Server, tmp_path: Path) -> None:
    source = mnist.SOURCES["emnist-digits"]
    archive = tmp_path / "made.zip"
    with zipfile.ZipFile(archive, "w") as made:
        for name in (*source.files, "emnist-letters-test-labels-idx1-ubyte"):
            made.writestr(f"gzip/{name}.gz", name)
    server.files["/gzip.zip"] = archive.read_bytes()
    remote = RemoteFile("gzip.zip", (server.url("/gzip.zip"),), hashlib.md5(archive.read_bytes()).hexdigest())
    source = replace(source, manifest=lambda: Manifest((remote,), {}))
    found = source.get(tmp_path / "data")
    assert [path.read_text() for path in found] == [*source.files]
    assert sorted(path.name for path in found[0].parent.iterdir()) == sorted(f"{n}.gz" for n in source.files)
    assert source.get(tmp_path / "data") == found
    assert len(server.sent) == 1


def test_a_failed_fetch_keeps_what_came(server: Server, tmp_path: Path) -> None:
    remotes = tuple(RemoteFile(f"{n}.gz", (server.url("/file"),), MD5) for n in mnist.FILES)
    source = replace(mnist.SOURCES["mnist"], manifest=lambda: Manifest(remotes, {}))
    server.break_after = 4_000_000
    with pytest.raises(
        MissingData, match=r"the download failed \(.* ended after 4,000,000 of 5,120,000 bytes\)"
    ):
        source.get(tmp_path / "data")
    server.break_after = None
    source.get(tmp_path / "data")
    assert server.sent == [4_000_000, 1_120_000, *[5_120_000] * 3]
    assert [path.name for path in (tmp_path / "data" / ".partial").iterdir()] == ["mnist.lock"]
    assert source.check(tmp_path / "data")
