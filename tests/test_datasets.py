"""Loaders: the bundled data, the real files in their formats, and broken ones."""

import gzip
import struct
from pathlib import Path
from typing import Any

import pytest
import torch

from switchbench import datasets
from switchbench.datasets import MissingData, fashion_mnist

COUNTS = {"train": 60, "t10k": 10}


def write_idx(folder: Path, compress: bool = False) -> dict[str, torch.Tensor]:
    """The four files of an MNIST-like data set in the IDX format, and what they hold."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = torch.Generator().manual_seed(0)
    held = {}
    for part, count in COUNTS.items():
        images = torch.randint(0, 256, (count, 28, 28), generator=draw, dtype=torch.uint8)
        labels = torch.randint(0, 10, (count,), generator=draw, dtype=torch.uint8)
        contents = {
            f"{part}-images-idx3-ubyte": struct.pack(">4i", 2051, count, 28, 28) + images.numpy().tobytes(),
            f"{part}-labels-idx1-ubyte": struct.pack(">2i", 2049, count) + labels.numpy().tobytes(),
        }
        for name, content in contents.items():
            if compress:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)
        held |= {f"{part}-images": images, f"{part}-labels": labels}
    return held


@pytest.fixture
def alone(monkeypatch: Any, tmp_path: Path) -> Path:
    """A machine that has no Fashion-MNIST and cannot fetch it; the data folder."""

    def refuse(folder: Path) -> None:
        raise OSError("network is unreachable")

    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path / "debian")
    monkeypatch.setattr(fashion_mnist, "_fetch", refuse)
    small = {
        part: (images, labels, COUNTS[images.split("-")[0]])
        for part, (images, labels, _) in fashion_mnist.FILES.items()
    }
    monkeypatch.setattr(fashion_mnist, "FILES", small)
    return tmp_path / "data"


def test_digits() -> None:
    data = datasets.load("digits")
    assert data.train.images.shape == (1437, 1, 8, 8)
    assert data.test.images.shape == (360, 1, 8, 8)
    assert data.train.images.dtype == torch.uint8
    assert int(data.train.images.max()) == 16
    assert torch.bincount(data.test.labels).min() > 25


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("place", ["data/fashion-mnist", "data/FashionMNIST/raw", "debian"])
def test_idx_files_are_found_and_read(place: str, compress: bool, alone: Path) -> None:
    held = write_idx(alone.parent / place, compress=compress)
    data = datasets.DATASETS["fashion-mnist"](alone)
    assert torch.equal(data.train.images[:, 0], held["train-images"])
    assert torch.equal(data.test.labels, held["t10k-labels"].long())
    assert data.classes == 10


def test_missing_data_says_where_it_looked_and_how_to_get_it(alone: Path) -> None:
    with pytest.raises(MissingData) as caught:
        datasets.DATASETS["fashion-mnist"](alone)
    message = str(caught.value)
    assert "\n" not in message
    for part in (str(alone / "fashion-mnist"), str(alone.parent / "debian"), "network is unreachable"):
        assert part in message
    assert "install Debian's package dataset-fashion-mnist" in message
    assert not alone.exists()


@pytest.mark.parametrize("damage", ["truncated", "empty", "not gzip", "wrong shape"])
def test_broken_files_are_named(damage: str, alone: Path) -> None:
    folder = alone / "fashion-mnist"
    write_idx(folder, compress=True)
    file = folder / "t10k-images-idx3-ubyte.gz"
    content = {
        "truncated": file.read_bytes()[:2000],
        "empty": b"",
        "not gzip": b"hello",
        "wrong shape": gzip.compress(struct.pack(">4i", 2051, 3, 28, 28) + bytes(3 * 784)),
    }[damage]
    file.write_bytes(content)
    with pytest.raises(MissingData, match=r"t10k-images-idx3-ubyte\.gz: ") as caught:
        datasets.DATASETS["fashion-mnist"](alone)
    assert "\n" not in str(caught.value)


def test_a_fetched_folder_appears_whole_and_once(tmp_path: Path) -> None:
    (tmp_path / "complete").mkdir()
    (tmp_path / "complete" / "file").write_text("content")
    for _ in range(2):  # the second time another process has been faster
        fashion_mnist._publish(tmp_path / "complete", tmp_path / "data" / "FashionMNIST")
        assert [path.name for path in (tmp_path / "data").iterdir()] == ["FashionMNIST"]
        assert (tmp_path / "data" / "FashionMNIST" / "file").read_text() == "content"


def test_real_fashion_mnist(fashion_mnist: datasets.Data) -> None:
    assert fashion_mnist.train.images.shape == (60_000, 1, 28, 28)
    assert fashion_mnist.test.images.shape == (10_000, 1, 28, 28)
    assert torch.bincount(fashion_mnist.train.labels).tolist() == [6_000] * 10
    assert torch.bincount(fashion_mnist.test.labels).tolist() == [1_000] * 10
    assert float(fashion_mnist.train.images.float().mean()) / 255 == pytest.approx(0.2860, abs=1e-4)


def test_empty_splits_are_refused() -> None:
    with pytest.raises(ValueError, match="leaves a split empty"):
        datasets.split(datasets.load("digits"), 1e-6, torch.Generator(), torch.device("cpu"))
