"""A file is written whole or not at all, by every writer."""

import os
from pathlib import Path

import pytest

from switchbench.atomic_files import atomic_write, discard


def test_content_appears_at_the_end_of_the_block(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic_write(path) as stream:
        stream.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert [*path.parent.iterdir()] == [path]


def test_no_folder_is_made(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_write(tmp_path / "missing" / "file") as stream:
            stream.write(b"lost")

    with pytest.raises(FileNotFoundError):
        write()
    assert not (tmp_path / "missing").exists()


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail() -> None:
        with atomic_write(path) as stream:
            stream.write(b"half")
            raise RuntimeError("full")

    with pytest.raises(RuntimeError, match="full"):
        fail()
    assert path.read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [path]


def test_content_is_on_disk_before_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    flush, rename = os.fsync, Path.replace

    def flushed(descriptor: int) -> None:
        done.append("flushed")
        flush(descriptor)

    def renamed(old: Path, new: Path) -> Path:
        done.append("renamed")
        return rename(old, new)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", renamed)
    with atomic_write(tmp_path / "file") as stream:
        stream.write(b"whole")
    assert done == ["flushed", "renamed", "flushed"]  # the file, then the folder that names it


def test_what_a_killed_process_left_is_removed_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"whole")
    (tmp_path / ".file_x1.part").write_bytes(b"half")
    (tmp_path / "other").write_bytes(b"stays")
    discard(path)
    assert [*tmp_path.iterdir()] == [tmp_path / "other"]
