"""Faults that would give a wrong number without a word: each is mended, refused in one line, or said."""

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

import switchbench
from switchbench import datasets, reports
from switchbench.cluster.worker import Job, execute
from switchbench.compare.plan import check
from switchbench.datasets import DATASETS, Data, Images, MissingData
from switchbench.errors import InputError
from switchbench.methods.parts.masks import counts
from switchbench.networks import NETWORKS, Network, register
from switchbench.reports.statistics.contrasts import Paired, contrasts
from switchbench.spec import file as specs
from switchbench.spec.comparison import Resources
from switchbench.spec.components import DatasetChoice
from switchbench.spec.scope import Scope
from switchbench.spec.trial import TrialConfig
from switchbench.store.ledger import Ledger
from switchbench.trial.run import run_trial

SIDE = 8


def folder_of(root: Path, shade: int = 0) -> Path:
    """A folder of grey pictures of two classes: left half or right half bright."""
    for part, count in (("train", 20), ("test", 6)):
        for number in range(count):
            pixels = np.full((SIDE, SIDE), shade + number, np.uint8)
            half = "left" if number % 2 else "right"
            pixels[:, : SIDE // 2] += 100 if half == "left" else 0
            pixels[:, SIDE // 2 :] += 100 if half == "right" else 0
            place = root / part / half
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(place / f"{number:02}.png")
    return root


def chosen(name: str, path: Path, **options: Any) -> DatasetChoice:
    return DatasetChoice.model_validate({"dataset": name, "path": str(path), **options})


def save_arrays(file: Path, images: np.ndarray[Any, Any], labels: Any) -> Path:
    labels = np.asarray(labels)
    np.savez(file, x_train=images, y_train=labels, x_test=images, y_test=labels)
    return file


# Data


def test_links_are_followed_by_identity_and_by_the_reader(tmp_path: Path) -> None:
    plain, linked = folder_of(tmp_path / "plain"), tmp_path / "linked"
    for part in ("train", "test"):
        (linked / part).mkdir(parents=True)
        for name in ("left", "right"):
            (linked / part / name).symlink_to(plain / part / name)
    one, two = (chosen("image-folder", path) for path in (plain, linked))
    assert one.identity() == two.identity()
    identity, before = two.identity(), two.load(tmp_path / "data")
    Image.new("L", (SIDE, SIDE), 250).save(plain / "train" / "left" / "01.png")
    assert two.identity() != identity
    after = two.load(tmp_path / "data")
    assert not torch.equal(before.train.images, after.train.images)


def test_a_link_to_another_class_is_refused(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "mine")
    (root / "train" / "right" / "more").symlink_to(root / "train" / "left")
    with pytest.raises(MissingData, match="right/more: is in the classes left and right"):
        chosen("image-folder", root).load(tmp_path / "data")


def test_data_that_change_under_a_planned_trial_are_a_failure(tmp_path: Path) -> None:
    """Also in a worker, which gets the trial as JSON."""
    images, labels = np.zeros((10, 6, 6), np.uint8), np.arange(10) % 2
    file = save_arrays(tmp_path / "a.npz", images, labels)
    planned = TrialConfig.of(
        network={"network": "mlp", "hidden": [8]},
        dataset={"dataset": "arrays", "path": str(file)},
        method="dense",
        training={"steps": 2, "batch_size": 4},
        validation=0.2,
    ).as_planned()
    assert TrialConfig.from_plan(planned).is_current()
    save_arrays(file, images + 1, labels)
    for folder in ("trials", "running", "logs"):
        (tmp_path / folder).mkdir()
    row = execute(TrialConfig.from_plan(planned), Job(tmp_path, tmp_path, Resources(), "run"))
    assert (row.trial_id, row.status) == (planned["trial_id"], "failed")
    assert "its files have changed since the trial was planned" in str(row.error)


def test_a_link_to_a_folder_above_ends(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "mine")
    (root / "train" / "left" / "up").symlink_to(root / "train" / "left")
    assert len(chosen("image-folder", root).load(tmp_path / "data").train) == 20


def test_what_is_read_is_what_counts(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "mine")
    before = chosen("image-folder", root).identity()
    (root / "train" / ".ipynb_checkpoints").mkdir()
    Image.new("L", (SIDE, SIDE)).save(root / "train" / ".ipynb_checkpoints" / "00.png")
    Image.new("L", (SIDE, SIDE)).save(root / "train" / "left" / "._00.png")
    (root / "train" / ".DS_Store").write_bytes(b"x")
    (root / "train" / "left" / "Thumbs.db").write_bytes(b"x")
    choice = chosen("image-folder", root)
    assert choice.identity() == before
    data = choice.load(tmp_path / "data")
    assert (data.classes, len(data.train), len(data.test)) == (2, 20, 6)
    (root / "test" / "empty").mkdir()
    with pytest.raises(MissingData, match="test/empty: holds no image"):
        choice.load(tmp_path / "data")


@pytest.mark.parametrize("again", ["in this process", "from the cache on disk"])
def test_other_pictures_of_the_same_size_and_time_are_other_data(tmp_path: Path, again: str) -> None:
    root = folder_of(tmp_path / "mine")
    choice, file = chosen("image-folder", root), root / "train" / "left" / "01.png"
    file.write_bytes(file.read_bytes() + bytes(8))
    before, first = choice.identity(), choice.load(tmp_path / "data")
    stat, size, blob = file.stat(), file.stat().st_size - 8, file.read_bytes()
    Image.fromarray(np.asarray(Image.open(file)) + 1).save(file)
    assert len(file.read_bytes()) <= size + 8
    file.write_bytes(file.read_bytes().ljust(size + 8, b"\0"))  # readers ignore what comes after a picture
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert file.read_bytes() != blob
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    if again == "from the cache on disk":
        datasets.forget_loaded()
    assert choice.identity() != before
    assert not torch.equal(choice.load(tmp_path / "data").train.images, first.train.images)


def test_replaced_arrays_are_read_again(tmp_path: Path) -> None:
    images, labels = np.zeros((10, 6, 6), np.uint8), np.arange(10) % 2
    images[labels == 1] = 200
    file = save_arrays(tmp_path / "a.npz", images, labels)

    def trial() -> TrialConfig:
        return TrialConfig.of(
            network={"network": "mlp", "hidden": [8]},
            dataset={"dataset": "arrays", "path": str(file)},
            method="dense",
            training={"steps": 60, "batch_size": 4, "lr": 0.01},
            validation=0.2,
        )

    before = trial()
    assert run_trial(before).row["test_accuracy"] == 1.0
    save_arrays(file, np.zeros((10, 6, 6), np.uint8), labels)
    after = trial()
    assert after.trial_id != before.trial_id
    assert run_trial(after).row["test_accuracy"] == 0.5
    with pytest.raises(MissingData, match="its files have changed since the trial was planned"):
        run_trial(before)


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "mine")
    deep = (np.arange(SIDE * SIDE, dtype=np.uint16) * 1000).reshape(SIDE, SIDE)
    Image.fromarray(deep).save(root / "train" / "left" / "01.png")
    data = chosen("image-folder", root, channels=1).load(tmp_path / "data")
    assert torch.equal(data.train.images[0, 0], torch.from_numpy((deep / 257).round().astype(np.uint8)))


@pytest.mark.parametrize(
    ("picture", "ending", "line"),
    [
        (Image.fromarray(np.ones((SIDE, SIDE), np.float32)), "tiff", "holds 32-bit floating-point numbers"),
        (Image.fromarray(np.ones((SIDE, SIDE), np.int32)), "tiff", "holds 32-bit whole numbers"),
        (Image.new("RGBA", (SIDE, SIDE), (9, 9, 9, 100)), "png", "has transparent pixels"),
    ],
)
def test_pictures_that_eight_bits_cannot_show_are_refused(
    tmp_path: Path, picture: Image.Image, ending: str, line: str
) -> None:
    root = folder_of(tmp_path / "mine")
    picture.save(root / "train" / "left" / f"x.{ending}")
    with pytest.raises(MissingData, match=f"x.{ending}: {line}"):
        chosen("image-folder", root).load(tmp_path / "data")


def test_opaque_alpha_gif_and_rotation_are_read_as_a_viewer_shows_them(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "mine")
    Image.new("RGBA", (SIDE, SIDE), (9, 8, 7, 255)).save(root / "train" / "left" / "00.png")
    Image.new("L", (SIDE, SIDE), 77).save(root / "train" / "left" / "000.gif")
    turned = Image.fromarray(np.arange(SIDE * SIDE, dtype=np.uint8).reshape(SIDE, SIDE))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned.save(root / "train" / "left" / "0000.tiff", exif=exif)
    images = chosen("image-folder", root).load(tmp_path / "data").train.images
    assert images[0, :, 0, 0].tolist() == [9, 8, 7]
    assert images[1].unique().tolist() == [77]
    assert images[2, 0].flatten().tolist() == [*range(SIDE * SIDE)][::-1]


def test_a_channel_that_is_constant_in_training_is_centred_and_not_scaled() -> None:
    digits = datasets.load("digits")
    train, test = (
        Images(torch.cat([part.images, torch.full_like(part.images, alpha)], 1), part.labels)
        for part, alpha in ((digits.train, 255), (digits.test, 254))
    )
    splits = datasets.split(Data(train, test, 10), 0.1, torch.Generator().manual_seed(0))
    assert splits.train.batch(slice(None))[0][:, 1].unique().tolist() == [0]
    assert splits.test.batch(slice(None))[0][:, 1].unique().tolist() == [-1]


def test_the_layout_of_arrays_is_certain_or_given(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (10, 13, 32, 32), np.uint8)
    file = save_arrays(tmp_path / "a.npz", images, np.arange(10) % 2)
    with pytest.raises(MissingData, match=r"x_train holds \(10, 13, 32, 32\) uint8: set the option channels"):
        chosen("arrays", file).load()
    assert chosen("arrays", file, channels="first").load().input_shape == (13, 32, 32)
    assert chosen("arrays", file, channels="last").load().input_shape == (32, 13, 32)


def test_classes_are_numbered_from_zero(tmp_path: Path) -> None:
    images = np.zeros((6, 4, 4), np.uint8)
    data = chosen("arrays", save_arrays(tmp_path / "a.npz", images, [1, 7, -3, 1, 7, -3])).load()
    assert data.classes == 3
    assert data.train.labels.tolist() == [1, 2, 0, 1, 2, 0]
    with pytest.raises(MissingData, match="has a single class"):
        chosen("arrays", save_arrays(tmp_path / "b.npz", images, [5] * 6)).load()


@pytest.mark.parametrize(
    ("images", "labels", "line"),
    [
        (
            torch.zeros(4, 1, 3, 3, dtype=torch.uint8),
            [0, 1, -100, 1],
            "hold label -100; the 2 classes are 0 to 1",
        ),
        (torch.zeros(4, 1, 3, 3, dtype=torch.uint8), [0, 1, 1], r"4 with \(3,\) torch.int64 labels"),
        (torch.zeros(4, 1, 3, 3), [0, 1, 1, 0], "torch.float32; expected 4 dimensions of uint8"),
    ],
)
def test_what_other_peoples_loaders_return_is_checked(images: Any, labels: Any, line: str) -> None:
    @datasets.register("odd")
    def odd(folder: Path) -> Data:
        """Odd."""
        part = Images(images, torch.tensor(labels))
        return Data(part, part, 2)

    try:
        with pytest.raises(MissingData, match=f"data set odd: training images.*{line}"):
            datasets.load("odd")
    finally:
        DATASETS.pop("odd")


# Networks and training


class _Tied(Network, nn.Module):
    """Two layers that share a weight."""

    def __init__(self, *_: object) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(64, 64), nn.Linear(64, 64)
        self.second.weight = self.first.weight
        self.out = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.out(self.second(self.first(x.flatten(1))))
        return out


class _TiedByMemory(_Tied):
    """Two layers whose parameters are two views of the same memory."""

    def __init__(self, *_: object) -> None:
        super().__init__()
        self.second.weight = nn.Parameter(self.first.weight.detach().t())


class _TiedLate(_Tied):
    """Two layers that share a weight from the moment when the network is moved to its device."""

    def __init__(self, *_: object) -> None:
        super().__init__()
        self.second = nn.Linear(64, 64)

    def to(self, *where: Any) -> "_TiedLate":
        self.second.weight = self.first.weight
        return super().to(*where)


class _Frozen(Network, nn.Module):
    """A layer that does not learn."""

    def __init__(self, *_: object) -> None:
        super().__init__()
        self.frozen, self.out = nn.Linear(64, 30), nn.Linear(30, 10)
        self.frozen.weight.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.out(self.frozen(x.flatten(1)).relu())
        return out


@pytest.fixture
def networks() -> Any:
    kinds = {"tied": _Tied, "tied-by-memory": _TiedByMemory, "tied-late": _TiedLate, "frozen": _Frozen}
    for name, kind in kinds.items():
        register(name)(kind)
    yield
    for name in kinds:
        del NETWORKS[name]


@pytest.mark.parametrize("network", ["tied", "tied-by-memory", "tied-late"])
@pytest.mark.parametrize("kernels", ["dense", "sparse"])
def test_tied_weights_are_refused(
    networks: Any, spec: Any, make_config: Any, network: str, kernels: str
) -> None:
    line = "layers 'first' and 'second' share one weight, which is not supported"
    training = {"steps": 5, "kernels": kernels}
    if network != "tied-late":
        with pytest.raises(InputError, match=line):
            check(specs.parse(spec | {"networks": [network], "training": training}))
    with pytest.raises(ValueError, match=f"^{line}$"):
        run_trial(make_config("random", 0.03, network=network, training=training))


@pytest.mark.parametrize("method", ["magnitude", "movement", "taylor", "snip", "grasp"])
def test_a_frozen_layer_is_out_of_scope(networks: Any, make_config: Any, method: str) -> None:
    config = make_config(method, 0.2, network="frozen")
    assert [*Scope(layers="fc").of(config.network.build((1, 8, 8), 10))] == ["out"]
    result = run_trial(config)
    assert result.row["density"] == 0.2
    assert (result.network.get_parameter("frozen.weight") != 0).all()


def test_a_last_batch_of_one_image_is_seen_while_planning(spec: Any) -> None:
    network = {"network": "mlp", "hidden": [20], "batch_norm": True}
    fake = {"dataset": "fake", "train": 50, "test": 10}
    training = {"epochs": 1, "batch_size": 22}
    change = {"networks": [network], "datasets": [fake], "training": training, "validation": 0.1}
    with pytest.raises(InputError, match=r"training\.batch_size: 22 leaves a last batch of one image"):
        check(specs.parse(spec | change))
    check(specs.parse(spec | change | {"networks": [{"network": "mlp", "hidden": [20]}]}))
    check(specs.parse(spec | change | {"training": {"steps": 2, "batch_size": 22}}))


@pytest.mark.parametrize(
    ("method", "idle"),
    [
        ("set", "no connection moved: every 150 is too much for 60 steps, end 0.55"),
        ({"method": "rigl", "every": 20}, None),
        (
            {"method": "switcher-equivariant", "every": 100},
            "the reader never learned in 60 steps of 3 epochs",
        ),
        ({"method": "switcher-equivariant", "every": 20}, None),
        (
            {"method": "ac-dc", "phases": 15},
            "some phases were left out: 31 phases are too many for 60 steps",
        ),
        ("ac-dc", None),
        ("magnitude", None),
        (
            {"method": "granet", "begin": 0.0, "end": 0.016},
            "nothing grew: 60 steps are too few for an event before the last one",
        ),
        ("granet", None),
        (
            {"method": "lottery-ticket", "rewind": 0.995},
            "no round after the first took a step: rewind 0.995 leaves none of 60",
        ),
        ("lottery-ticket", None),
        (
            {"method": "n-m", "every": 45},
            "the masks never changed: every 45 is too much for 60 steps, end 0.75",
        ),
        ("n-m", None),
        ("dst", "the floor was never checked: every 100 is too much for 60 steps"),
        ({"method": "dst", "every": 60}, None),
    ],
)
def test_a_method_that_never_acted_says_so(method: Any, idle: str | None, make_config: Any) -> None:
    row = run_trial(make_config(method)).row
    assert row.idle == idle
    table = pd.DataFrame([{**vars(row)}])
    said = f"- {row.label}: {idle}" in reports.text(reports.build(table, "t")).splitlines()
    assert said == (idle is not None)


def test_never_acted_is_told_from_the_bits_of_random(make_config: Any) -> None:
    """What the row says is so: SET without a move is its random mask."""
    nets = [run_trial(make_config(name)).network.state_dict() for name in ("set", "random")]
    assert all(torch.equal(nets[0][key], nets[1][key]) for key in nets[0])


@pytest.mark.parametrize("extra", [1, 3])
def test_connections_are_counted_in_whole_numbers(extra: int) -> None:
    mask = torch.ones(2**24 + extra)
    assert counts({"a": mask}) == {"a": 2**24 + extra}


# Results


@pytest.fixture
def stored(spec: Any, tmp_path: Path, without_ray: None) -> Ledger:
    switchbench.run(spec | {"methods": ["dense"], "seeds": 2}, tmp_path / "out", mlflow_uri="none")
    return Ledger(tmp_path / "out")


def test_a_row_whose_bytes_have_changed_counts_as_missing(
    stored: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    file = sorted(Path(str(stored.folder), "trials").iterdir())[0]
    accuracy = stored.row(file.stem).test_accuracy  # type: ignore[union-attr]
    before = np.float64(accuracy).tobytes()
    assert before in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(before, np.float64(470.0).tobytes(), 1))
    with caplog.at_level(logging.WARNING):
        results = stored.results()
    assert sorted(results["status"]) == ["missing", "ok"]
    assert str(file) in caplog.text
    assert "it counts as missing" in caplog.text


@pytest.mark.parametrize("foreign", ["another table", "another trial", "a folder", "text"])
def test_a_foreign_file_is_named_and_left_out(
    stored: Ledger, foreign: str, caplog: pytest.LogCaptureFixture
) -> None:
    file, other = sorted(Path(str(stored.folder), "trials").iterdir())
    if foreign == "another table":
        pd.DataFrame({"status": [1.5], "x": ["y"]}).to_parquet(file)
    elif foreign == "another trial":
        file.write_bytes(other.read_bytes())
    else:
        file.unlink()
        file.mkdir() if foreign == "a folder" else file.write_text("x")
    with caplog.at_level(logging.WARNING):
        results = stored.results()
    assert sorted(results["status"]) == ["missing", "ok"]
    assert str(file) in caplog.text


def test_no_verdict_from_a_spread_of_zero() -> None:
    seeds = np.array([0, 1])
    cells: dict[Any, Any] = {
        ("a", 0.1): (seeds, np.array([0.9, 0.8])),
        ("b", 0.1): (seeds, np.array([0.7, 0.6])),
    }
    (contrast,) = contrasts(Paired({"a": "a", "b": "b"}, {}, [0.1], cells), [("a", "b")])
    assert contrast.verdict == "a: no spread over seeds, no verdict against b at 0.1"


# Layers that cannot be sparsified


@pytest.fixture
def odd_networks() -> Any:
    yield
    del NETWORKS["odd"]


@pytest.mark.parametrize("kind", ["weight norm", "old weight norm", "an unused head", "a reused layer"])
def test_layers_that_no_method_can_treat_are_refused_while_planning(
    kind: str, spec: dict[str, Any], odd_networks: None
) -> None:
    @register("odd")
    class Odd(Network, nn.Module):
        """Has an odd layer."""

        def __init__(self, shape: Any, classes: int, config: Any) -> None:
            super().__init__()
            self.one, self.two, self.head = nn.Linear(64, 8), nn.Linear(8, 8), nn.Linear(8, classes)
            if kind == "weight norm":
                nn.utils.parametrizations.weight_norm(self.two)
            if kind == "old weight norm":
                nn.utils.weight_norm(self.two)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            hidden = self.one(images.flatten(1)).relu()
            for _ in range({"an unused head": 0, "a reused layer": 2}.get(kind, 1)):
                hidden = self.two(hidden).relu()
            return self.head(hidden)  # type: ignore[no-any-return]

    spec |= {"networks": ["odd"]}
    if kind == "a reused layer":
        check(specs.parse(spec))  # one weight, which acts several times
        assert run_trial(specs.parse(spec).trials()[1]).row.density == pytest.approx(0.2, abs=0.002)
        return
    with pytest.raises(InputError) as caught:
        check(specs.parse(spec))
    if kind == "an unused head":
        problem = "layer 'two' of network 'odd' takes no part in its output"
        assert str(caught.value) == f"scope: {problem}; leave it out: {{layers: fc, exclude: [two]}}"
        check(specs.parse(spec | {"scope": {"layers": "fc", "exclude": ["two"]}}))
    else:
        problem = "layer 'two' computes its weight (weight norm?), which is not supported"
        assert str(caught.value) == f"networks[0], on digits: network 'odd': {problem}"
