"""Loaders: the bundled data, files in their true formats, and broken ones."""

import doctest
import gzip
import hashlib
import importlib
import os
import pickle
import struct
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
import torchvision.datasets
from PIL import Image

from switchbench import datasets
from switchbench.datasets import DATASETS, MissingData, cache, cifar, mnist, registry
from switchbench.datasets import source as sources
from switchbench.datasets.download import md5_of
from switchbench.datasets.source import Manifest, RemoteFile
from switchbench.plugins import load as plugins

TRAIN, TEST = 60, 10
Held = dict[str, torch.Tensor]


@pytest.fixture(autouse=True)
def unreachable(monkeypatch: Any) -> None:
    """Nothing can be fetched."""

    def refuse(*arguments: Any) -> None:
        raise OSError("network is unreachable")

    monkeypatch.setattr(sources, "download", refuse)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: Any) -> Path:
    """A data folder on a machine that has no Fashion-MNIST; files hold few images."""
    monkeypatch.setattr(mnist, "COUNTS", dict.fromkeys(mnist.COUNTS, (TRAIN, TEST)))
    remotes = (RemoteFile("file", ("http://nowhere",), ""),)
    for name, source in mnist.SOURCES.items():
        folders = (tmp_path / "debian",) if source.system_folders else ()
        own = replace(source, system_folders=folders, manifest=lambda: Manifest(remotes, {}))
        monkeypatch.setitem(mnist.SOURCES, name, own)
    return tmp_path / "data"


def draw(shape: tuple[int, ...], classes: int = 10) -> tuple[torch.Tensor, torch.Tensor]:
    seeded = torch.Generator().manual_seed(shape[0])
    images = torch.randint(0, 256, shape, generator=seeded, dtype=torch.uint8)
    return images, torch.arange(shape[0]) % classes


def write_idx(folder: Path, names: tuple[str, ...] = mnist.FILES, compress: bool = False) -> Held:
    """The four files of an MNIST-like data set in the IDX format, and what they hold."""
    folder.mkdir(parents=True, exist_ok=True)
    held: Held = {}
    for part, count, files in (("train", TRAIN, names[:2]), ("test", TEST, names[2:])):
        images, labels = draw((count, 28, 28))
        contents = [
            struct.pack(">4i", 2051, count, 28, 28) + images.numpy().tobytes(),
            struct.pack(">2i", 2049, count) + labels.to(torch.uint8).numpy().tobytes(),
        ]
        for name, content in zip(files, contents, strict=True):
            if compress:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)
        held |= {f"{part}-images": images, f"{part}-labels": labels}
    return held


def write_cifar(folder: Path, monkeypatch: Any, fine: bool = False) -> Held:
    """CIFAR's pickled batches, with torchvision's checksums set to theirs."""
    known: Any = torchvision.datasets.CIFAR100 if fine else torchvision.datasets.CIFAR10
    source, classes, key = (cifar.CIFAR_100, 100, "fine_labels") if fine else (cifar.CIFAR_10, 10, "labels")
    place = folder / source.torchvision_folder
    place.mkdir(parents=True)
    held: Held = {}
    for part, names in (("train", known.train_list), ("test", known.test_list)):
        images, labels = draw((20 * len(names), 3, 32, 32), classes)
        held |= {f"{part}-images": images, f"{part}-labels": labels}
        for number, (name, _) in enumerate(names):
            rows = slice(20 * number, 20 * (number + 1))
            batch = {"data": images[rows].reshape(20, -1).numpy(), key: labels[rows].tolist()}
            (place / name).write_bytes(pickle.dumps(batch, protocol=2))
    (place / known.meta["filename"]).write_bytes(pickle.dumps({known.meta["key"]: list("abcdefghij")}))
    for table in ("train_list", "test_list"):
        sums = [[name, md5_of(place / name)] for name, _ in getattr(known, table)]
        monkeypatch.setattr(known, table, sums)
    meta = known.meta | {"md5": md5_of(place / known.meta["filename"])}
    monkeypatch.setattr(known, "meta", meta)
    return held


def write_svhn(folder: Path, monkeypatch: Any) -> Held:
    """SVHN's MATLAB files, with torchvision's checksums set to theirs. There, 10 stands for 0."""
    place = folder / "svhn"
    place.mkdir(parents=True)
    held: Held = {}
    table = dict(torchvision.datasets.SVHN.split_list)
    for part, count in (("train", TRAIN), ("test", TEST)):
        images, labels = draw((count, 3, 32, 32))
        held |= {f"{part}-images": images, f"{part}-labels": labels}
        theirs = torch.where(labels == 0, 10, labels).to(torch.uint8).numpy()[:, None]
        file = place / f"{part}_32x32.mat"
        scipy.io.savemat(file, {"X": images.permute(2, 3, 1, 0).numpy(), "y": theirs})
        table[part] = [table[part][0], file.name, md5_of(file)]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", table)
    return held


def holds(data: datasets.Data, held: Held) -> bool:
    parts = {"train": data.train, "test": data.test}
    return all(
        torch.equal(parts[part].images, held[f"{part}-images"])
        and torch.equal(parts[part].labels, held[f"{part}-labels"])
        for part in parts
    )


def test_digits() -> None:
    data = datasets.load("digits")
    assert data.train.images.shape == (1437, 1, 8, 8)
    assert data.test.images.shape == (360, 1, 8, 8)
    assert data.train.images.dtype == torch.uint8
    assert int(data.train.images.max()) == 16
    assert torch.bincount(data.test.labels).min() > 25


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("place", ["data/fashion-mnist", "data/FashionMNIST/raw", "debian"])
def test_idx_files_are_found_and_read(place: str, compress: bool, folder: Path) -> None:
    held = write_idx(folder.parent / place, compress=compress)
    data = datasets.DATASETS["fashion-mnist"].load(folder)
    assert torch.equal(data.train.images[:, 0], held["train-images"])
    assert torch.equal(data.test.labels, held["test-labels"])
    assert data.classes == 10


@pytest.mark.parametrize("name", ["mnist", "kmnist", "emnist-digits"])
def test_variants_of_mnist(name: str, folder: Path) -> None:
    source = mnist.SOURCES[name]
    held = write_idx(folder / source.torchvision_folder, source.files, compress=True)
    data = datasets.DATASETS[name].load(folder)
    upright = held["test-images"].transpose(1, 2) if name == "emnist-digits" else held["test-images"]
    assert torch.equal(data.test.images[:, 0], upright)


@pytest.mark.parametrize("fine", [False, True])
def test_cifar(fine: bool, folder: Path, monkeypatch: Any) -> None:
    held = write_cifar(folder, monkeypatch, fine)
    data = datasets.DATASETS["cifar-100" if fine else "cifar-10"].load(folder)
    assert holds(data, held)
    assert data.classes == (100 if fine else 10)


def test_svhn(folder: Path, monkeypatch: Any) -> None:
    held = write_svhn(folder, monkeypatch)
    assert holds(datasets.DATASETS["svhn"].load(folder), held)


def test_decoded_images_are_kept_and_made_anew_when_files_change(folder: Path) -> None:
    write_idx(folder / "mnist")
    first = datasets.DATASETS["mnist"].load(folder)
    (kept,) = (folder / ".decoded").glob("*.pt")
    stamp = kept.stat().st_mtime_ns
    again = datasets.DATASETS["mnist"].load(folder)
    assert torch.equal(first.train.images, again.train.images)
    assert kept.stat().st_mtime_ns == stamp
    half = kept.read_bytes()[:1000]
    kept.unlink()  # it is still mapped
    kept.write_bytes(half)  # a failing disk
    assert torch.equal(first.train.images, datasets.DATASETS["mnist"].load(folder).train.images)
    labels = folder / "mnist" / mnist.FILES[1]
    labels.write_bytes(labels.read_bytes()[:-1] + b"\x07")
    assert int(datasets.DATASETS["mnist"].load(folder).train.labels[-1]) == 7


def test_a_folder_that_cannot_be_written_costs_memory_alone(folder: Path, monkeypatch: Any) -> None:
    write_idx(folder.parent / "debian")
    folder.parent.joinpath("data").write_text("a file where the folder should be")
    assert len(datasets.DATASETS["fashion-mnist"].load(folder).train) == TRAIN


def test_missing_data_says_where_it_looked_and_how_to_get_it(folder: Path) -> None:
    with pytest.raises(MissingData) as caught:
        datasets.DATASETS["fashion-mnist"].load(folder)
    message = str(caught.value)
    assert "\n" not in message
    for part in (str(folder / "fashion-mnist"), str(folder.parent / "debian"), "network is unreachable"):
        assert part in message
    assert "install Debian's package dataset-fashion-mnist" in message
    assert "train-images-idx3-ubyte" in message


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "not gzip": lambda content: b"hello",
    "wrong magic": lambda content: gzip.compress(struct.pack(">4i", 9999, TEST, 28, 28) + bytes(TEST * 784)),
    "wrong shape": lambda content: gzip.compress(struct.pack(">4i", 2051, 3, 28, 28) + bytes(3 * 784)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_broken_idx_files_are_named(damage: str, folder: Path) -> None:
    write_idx(folder / "fashion-mnist", compress=True)
    file = folder / "fashion-mnist" / "t10k-images-idx3-ubyte.gz"
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    with pytest.raises(MissingData, match=r"t10k-images-idx3-ubyte\.gz: ") as caught:
        datasets.DATASETS["fashion-mnist"].load(folder)
    assert "\n" not in str(caught.value)
    assert not [*(folder / ".decoded").glob("*.pt")]


def test_a_variant_in_the_wrong_folder_is_known_by_its_checksum(folder: Path, monkeypatch: Any) -> None:
    write_idx(folder / "mnist", compress=True)
    manifest = Manifest((), {"train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873"})
    monkeypatch.setitem(mnist.SOURCES, "mnist", replace(mnist.SOURCES["mnist"], manifest=lambda: manifest))
    with pytest.raises(MissingData, match=r"train-images-idx3-ubyte\.gz: corrupt"):
        datasets.DATASETS["mnist"].load(folder)


def test_other_code_decodes_anew(folder: Path, monkeypatch: Any) -> None:
    write_idx(folder / "mnist")
    datasets.DATASETS["mnist"].load(folder)
    monkeypatch.setattr(cache, "_code_hash", lambda: "other")
    datasets.DATASETS["mnist"].load(folder)
    assert len([*(folder / ".decoded").glob("*.pt")]) == 2
    cache.clear(folder, "mnist")
    assert not [*(folder / ".decoded").glob("*.pt")]


def test_a_label_without_a_class_is_named(folder: Path) -> None:
    write_idx(folder / "mnist")
    labels = folder / "mnist" / mnist.FILES[1]
    labels.write_bytes(labels.read_bytes()[:-1] + b"\x63")
    with pytest.raises(MissingData, match="train-labels-idx1-ubyte: holds label 99; there are 10 classes"):
        datasets.DATASETS["mnist"].load(folder)


@pytest.mark.parametrize("name", ["cifar-10", "svhn"])
@pytest.mark.parametrize("trusted", [False, True])
def test_other_broken_files_are_named(name: str, trusted: bool, folder: Path, monkeypatch: Any) -> None:
    """Where the checksum is another, and where a file of the right checksum cannot be read."""
    write = write_cifar if name == "cifar-10" else write_svhn
    write(folder, monkeypatch)
    file = folder / ("cifar-10-batches-py/data_batch_2" if name == "cifar-10" else "svhn/train_32x32.mat")
    file.write_bytes(file.read_bytes()[:900])
    known: Any = torchvision.datasets
    if trusted and name == "cifar-10":
        sums = [[n, md5_of(file) if n == file.name else m] for n, m in known.CIFAR10.train_list]
        monkeypatch.setattr(known.CIFAR10, "train_list", sums)
    elif trusted:
        table = known.SVHN.split_list | {
            "train": [known.SVHN.split_list["train"][0], file.name, md5_of(file)]
        }
        monkeypatch.setattr(known.SVHN, "split_list", table)
    said = "cannot be read as" if trusted else f"{file.name}: corrupt: its MD5 is {md5_of(file)}, not "
    with pytest.raises(MissingData, match=said) as caught:
        datasets.DATASETS[name].load(folder)
    assert "\n" not in str(caught.value)


def test_a_pickle_that_nobody_vouches_for_is_not_opened(folder: Path, monkeypatch: Any) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (folder / "opened",)

    write_cifar(folder, monkeypatch)
    (folder / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(MissingData, match="test_batch: corrupt"):
        datasets.DATASETS["cifar-10"].load(folder)
    assert not (folder / "opened").exists()


def test_real_fashion_mnist(fashion_mnist: datasets.Data) -> None:
    assert fashion_mnist.train.images.shape == (60_000, 1, 28, 28)
    assert fashion_mnist.test.images.shape == (10_000, 1, 28, 28)
    assert torch.bincount(fashion_mnist.train.labels).tolist() == [6_000] * 10
    assert torch.bincount(fashion_mnist.test.labels).tolist() == [1_000] * 10
    assert float(fashion_mnist.train.images.float().mean()) / 255 == pytest.approx(0.2860, abs=1e-4)


def test_empty_splits_are_refused() -> None:
    with pytest.raises(ValueError, match="leaves a split empty"):
        datasets.split(datasets.load("digits"), 1e-6, torch.Generator())


def test_fake_images_have_any_shape_and_can_be_learned(make_config: Any) -> None:
    from switchbench.trial.run import run_trial

    fake = {"dataset": "fake", "shape": [3, 9, 7], "classes": 4, "train": 300, "test": 50}
    config = make_config(dataset=fake, training={"epochs": 20})
    data = config.dataset.load()
    assert data.train.images.shape == (300, 3, 9, 7)
    assert torch.equal(data.test.images, config.dataset.load().test.images)
    assert run_trial(config).row["test_accuracy"] > 0.9


def write_folder(root: Path, side: int = 12) -> Held:
    held: Held = {}
    for part, count in (("train", 12), ("test", 6)):
        images, labels = draw((count, 3, side, side), 3)
        labels = labels.sort().values  # as the folders are read
        held |= {f"{part}-images": images, f"{part}-labels": labels}
        for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            place = root / part / "abc"[label]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(place / f"{number:02}.png")
    return held


def write_other_size(place: Path) -> Path:
    Image.new("RGB", (3, 4)).save(place)
    return place


def test_a_folder_of_images(tmp_path: Path) -> None:
    held = write_folder(tmp_path / "mine")
    choice = own("image-folder", tmp_path / "mine")
    data = choice.load(tmp_path / "data")
    assert holds(data, held)
    assert data.classes == 3
    grey = own("image-folder", tmp_path / "mine", channels=1, size=5).load(tmp_path / "data")
    assert grey.train.images.shape == (12, 1, 5, 5)


def test_arrays(tmp_path: Path) -> None:
    images, labels = draw((20, 3, 8, 8))
    for shape in ("first", "last", "none"):
        array = {"first": images, "last": images.permute(0, 2, 3, 1), "none": images[:, 0]}[shape].numpy()
        file = tmp_path / f"{shape}.npz"
        np.savez(file, x_train=array, y_train=labels.numpy(), x_test=array[:5], y_test=labels.numpy()[:5])
        data = own("arrays", file).load(tmp_path / "data")
        assert torch.equal(data.train.images, images if shape != "none" else images[:, :1])
        assert torch.equal(data.test.labels, labels[:5])
        assert data.classes == 10
    assert len([*(tmp_path / "data" / cache.FOLDER).glob("arrays-*.pt")]) == 3  # every process maps these


def own(name: str, path: Path, **options: Any) -> Any:
    from switchbench.spec.components import DatasetChoice

    return DatasetChoice.model_validate({"dataset": name, "path": str(path), **options})


def test_own_data_are_known_by_their_content_not_their_place(tmp_path: Path) -> None:
    for place in ("one", "two"):
        write_folder(tmp_path / place)
    one, two = (own("image-folder", tmp_path / place) for place in ("one", "two"))
    before = one.identity()
    assert before == two.identity()
    assert before != own("image-folder", tmp_path / "one", channels=1).identity()
    Image.new("RGB", (12, 12)).save(tmp_path / "one" / "train" / "a" / "00.png")
    assert one.identity() != before == two.identity()


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda root: None, "no such folder"),
        (lambda root: root.mkdir(), "holds no folder train with a folder of images per class"),
        (lambda root: write_folder(root) and (root / "test" / "c").rename(root / "test" / "d"), "different classes"),
        (lambda root: write_folder(root) and (root / "test" / "c" / "x.png").write_text("no"), "x.png: cannot be read"),
        (lambda root: write_folder(root) and write_other_size(root / "test" / "c" / "x.png"), "set the option size"),
    ],
)  # fmt: skip
def test_a_folder_that_is_none_is_one_line(break_it: Any, said: str, tmp_path: Path) -> None:
    from switchbench.spec.components import DatasetChoice

    break_it(tmp_path / "mine")
    with pytest.raises((MissingData, ValueError), match=said):
        DatasetChoice.model_validate({"dataset": "image-folder", "path": str(tmp_path / "mine")}).load()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"x_train": np.zeros((4, 5, 5))}, r"x_train holds \(4, 5, 5\) float64; expected uint8"),
        ({"y_test": np.zeros(3, int)}, "y_test should hold 4 whole numbers, but holds 3 of type int64"),
        ({"x_test": np.zeros((4, 6, 6), np.uint8)}, "images of different shapes"),
        ({"y_train": None}, "lacks y_train"),
        ({"x_train": np.array([{}, {}], object)}, "not an .npz file of plain arrays"),
    ],
)
def test_arrays_that_are_none_are_one_line(change: Any, said: str, tmp_path: Path) -> None:
    pixels, labels = np.zeros((4, 5, 5), np.uint8), np.zeros(4, int)
    held = {"x_train": pixels, "y_train": labels, "x_test": pixels, "y_test": labels} | change
    np.savez(tmp_path / "a.npz", **{name: array for name, array in held.items() if array is not None})
    with pytest.raises(MissingData, match=said):
        own("arrays", tmp_path / "a.npz").load()


def test_the_hash_of_a_file_is_its_md5(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    assert md5_of(tmp_path / "file") == hashlib.md5(b"content").hexdigest()


@pytest.mark.parametrize("module", ["augment", "data", "registry", "splits"])
def test_examples_in_docstrings_run(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"switchbench.datasets.{module}"))
    assert found.attempted
    assert not found.failed


def test_digits_are_those_of_scikit_learn(tmp_path: Path, monkeypatch: Any) -> None:
    """Read from its file, and through it where the file is elsewhere."""
    from sklearn.datasets import load_digits

    from switchbench.datasets import digits

    bundle = load_digits()
    for missing in (False, True):
        if missing:
            monkeypatch.setattr(digits, "find_spec", lambda name: None)
        data = digits.digits(tmp_path)
        assert (len(data.train), len(data.test)) == (1437, 360)
        test = [index % 5 == 0 for index in range(len(bundle.target))]
        assert data.test.images.tolist() == bundle.images[test][:, None].tolist()
        assert data.test.labels.tolist() == bundle.target[test].tolist()


PLUGIN = """
import torch
from switchbench.datasets import Data, Images, register

@register("changing")
def changing(folder):
    \"\"\"Data of a plug-in that changes.\"\"\"
    images = Images(torch.full((20, 1, 2, 2), {value}, dtype=torch.uint8), torch.arange(20) % 2)
    return Data(images, images, 2)
"""


def test_a_loader_that_changes_in_a_session_is_loaded_anew(tmp_path: Path, without_plugins: None) -> None:
    file = tmp_path / "mine.py"
    for value in (1, 2):
        file.write_text(PLUGIN.replace("{value}", str(value)))
        plugins.load([file])
        assert datasets.load("changing").train.images.unique().tolist() == [value]


def test_one_data_set_at_a_time_is_on_a_device(folder: Path) -> None:
    device = torch.device("meta")  # stands for a GPU
    digits = datasets.load("digits", device=device)
    assert datasets.load("digits", device=device) is digits
    datasets.forget_on_devices(but="digits")
    assert datasets.load("digits", device=device) is digits
    kept = weakref.ref(digits.train.images)
    del digits
    options = DATASETS["fake"].config
    assert options
    datasets.load("fake", config=options(train=20, test=10), device=device)
    assert kept() is None
    datasets.forget_on_devices()
    assert not registry._on_device


def test_a_file_name_that_is_not_in_utf_8_is_one_line(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine")
    odd = os.fsdecode(b"caf\xe9.png")
    (place,) = {file.parent for file in [*(tmp_path / "mine" / "train").rglob("*.png")][:1]}
    next(place.glob("*.png")).rename(place / odd)
    with pytest.raises(MissingData, match=r"is not in UTF-8; rename it"):
        own("image-folder", tmp_path / "mine").identity()
