"""What `switchbench list` shows without importing a method, and when it is not used."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from switchbench.cli import catalogue, listing
from switchbench.cli.descriptions import registered

WRITE = Path(__file__).parent.parent / "tools" / "write_catalogue.py"


def test_the_stored_catalogue_is_the_codes() -> None:
    checked = subprocess.run([sys.executable, WRITE, "--check"], check=False, timeout=120)
    assert checked.returncode == 0, "run make docs"


@pytest.mark.usefixtures("shipped_methods")
def test_what_is_read_is_what_was_described(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.json"
    file.write_text(catalogue.as_json(registered()), encoding="utf-8")
    assert catalogue.read(file) == registered()


@pytest.mark.usefixtures("shipped_methods")
def test_a_catalogue_of_other_code_is_not_used(tmp_path: Path, monkeypatch: Any) -> None:
    file = tmp_path / "catalogue.json"
    assert catalogue.read(file) is None
    file.write_text("<<<<<<< HEAD")
    assert catalogue.read(file) is None
    file.write_text(catalogue.as_json(registered()), encoding="utf-8")
    monkeypatch.setattr(catalogue, "code_digest", lambda: "another")
    assert catalogue.read(file) is None


@pytest.mark.parametrize("change", ["edit", "add", "rename", "remove"])
def test_every_change_of_the_code_changes_the_digest(change: str, tmp_path: Path, monkeypatch: Any) -> None:
    package = tmp_path / "some_methods"
    package.mkdir()
    (package / "__init__.py").write_text("from some_methods.one import One\n")
    (package / "one.py").write_text("class One: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(catalogue, "REGISTRIES", ("some_methods",))
    before = catalogue.code_digest()
    assert catalogue.code_digest() == before
    if change == "edit":
        (package / "one.py").write_text("class Two: ...\n")
    elif change == "add":
        (package / "two.py").write_text("")
    elif change == "rename":
        (package / "one.py").rename(package / "two.py")
    else:
        (package / "one.py").unlink()
    assert catalogue.code_digest() != before
    assert "some_methods" not in sys.modules


def test_the_list_is_the_registrys_where_a_registry_is_imported(monkeypatch: Any) -> None:
    def not_read() -> None:
        raise AssertionError("plug-ins could be missing")

    monkeypatch.setattr(catalogue, "read", not_read)
    assert listing.names("methods").keys() == registered()["methods"].keys()


def test_types_are_the_same_words_in_every_version_of_python() -> None:
    (vgg,) = listing.describe("torchvision")
    assert [option.type for option in vgg.options] == ["str"]
    types = {
        option.type for names in registered().values() for each in names.values() for option in each.options
    }
    assert {"first | last | None", "int | None", "list of int"} <= types
    assert not any("typing" in each or "Optional" in each for each in types)
