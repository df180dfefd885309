"""`switchbench data`: what is here, bringing it, and whether it is sound."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from switchbench.cli import inventory
from switchbench.datasets import DATASETS, mnist
from switchbench.datasets.source import Manifest, RemoteFile
from switchbench.errors import InputError


@pytest.fixture
def letters(tmp_path: Path, monkeypatch: Any) -> Path:
    """A data folder, and a MNIST whose files are fetched from a folder that stands for the web."""
    source = DATASETS["mnist"].source
    assert source
    remotes = []
    for name in source.files:
        (tmp_path / name).write_text(name)
        md5 = hashlib.md5(name.encode()).hexdigest()
        remotes.append(RemoteFile(name, ((tmp_path / name).as_uri(),), md5))
    manifest = Manifest(tuple(remotes), {remote.name: remote.md5 for remote in remotes})
    source = replace(source, manifest=lambda: manifest)
    monkeypatch.setitem(DATASETS, "mnist", replace(DATASETS["mnist"], source=source))
    monkeypatch.setenv("SWITCHBENCH_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def entry(name: str) -> inventory.InventoryEntry:
    (found,) = [entry for entry in inventory.take_inventory() if entry.name == name]
    return found


def test_the_inventory_says_what_is_here_and_fetch_brings_it(letters: Path) -> None:
    assert entry("mnist").folder is None
    assert entry("digits").fetchable is False
    assert inventory.fetch("mnist").folder == letters / "MNIST" / "raw"
    assert entry("mnist").size == sum(len(name) for name in mnist.FILES)
    assert inventory.fetch("mnist") == entry("mnist")


def test_check_names_the_file_that_is_corrupt(letters: Path) -> None:
    with pytest.raises(InputError, match="data set 'mnist' is not here: switchbench data fetch mnist"):
        inventory.check("mnist")
    inventory.fetch("mnist")
    (letters / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").write_text("other")
    with pytest.raises(InputError, match="t10k-labels-idx1-ubyte: corrupt: its MD5 is"):
        inventory.check("mnist")


def test_check_says_what_a_sound_data_set_holds() -> None:
    assert inventory.check("digits") == ("digits: 1,437 + 360 images of 1×8×8, 10 classes: ok", True)
    made, sound = inventory.check("fake", ["shape=[3, 4, 5]", "classes=3"])
    assert (made, sound) == ("fake: 1,000 + 200 images of 3×4×5, 3 classes: ok", True)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (("fakes", ()), "unknown dataset 'fakes'; did you mean 'fake'"),
        (("fake", ("clases=3",)), "unknown key 'clases'; did you mean 'classes'"),
        (("arrays", ()), "path: is required"),
    ],
)
def test_what_is_wrong_is_one_line(what: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        inventory.check(*what)


def test_nothing_to_fetch() -> None:
    with pytest.raises(InputError, match="data set 'digits' has no files to fetch"):
        inventory.fetch("digits")
