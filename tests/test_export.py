"""Finished trials leave switchbench: as files, layer tables and pictures, with the same outputs."""

import copy
import json
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import switchbench
from switchbench import datasets
from switchbench.cli.app import app
from switchbench.compare.sources import with_latency
from switchbench.datasets import MissingData
from switchbench.errors import InputError
from switchbench.measure.csr import CSRLinear, to_csr
from switchbench.measure.latency import FORMS, ROUNDS, WARM_UP, seconds
from switchbench.networks import NETWORKS
from switchbench.networks.layers import prunable
from switchbench.reports.cells import TASK
from switchbench.spec.components import NetworkChoice
from switchbench.store.ledger import Ledger
from switchbench.trained import arrays
from switchbench.trained.arrays import kept_per_pixel, stored_arrays
from switchbench.trained.export import export
from switchbench.trained.facts import NetworkFacts
from switchbench.trained.load import FinishedNetwork, load_finished
from switchbench.trained.rerun import rerun, stored_trial
from switchbench.trained.snippet import snippet


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, module_without_ray: None) -> Path:
    """A comparison whose networks are kept."""
    out = tmp_path_factory.mktemp("kept") / "out"
    spec = {
        "name": "kept",
        "networks": [{"network": "mlp", "hidden": [60]}, {"network": "lenet-5", "label": "conv"}],
        "datasets": [{"dataset": "fake", "shape": [1, 28, 28], "train": 400, "test": 150}],
        "methods": ["magnitude", "neuron-norm", "network-slimming"],
        "densities": [0.05],
        "scope": "all",
        "seeds": 1,
        "keep_networks": True,
        "training": {"epochs": 3, "batch_size": 64},
    }
    switchbench.run(spec, out, mlflow_uri="none")
    return out


def trial(folder: Path, label: str, network: str) -> str:
    rows = Ledger(folder).results()
    (row,) = rows[(rows["label"] == label) & (rows["network"] == network)].to_dict("records")
    return f"{folder}/{row['trial_id']}"


def quiet(line: str) -> None:
    raise AssertionError(line)


@pytest.fixture(scope="module")
def mlp(folder: Path) -> FinishedNetwork:
    return load_finished(trial(folder, "magnitude", "mlp"), quiet)


def accuracy(found: FinishedNetwork) -> float:
    images, labels = found.test.batch(slice(None))
    with torch.no_grad():
        return float((found.network(images).argmax(1) == labels).float().mean())


def test_a_kept_network_has_the_accuracy_of_its_row(mlp: FinishedNetwork) -> None:
    assert accuracy(mlp) == pytest.approx(mlp.row["test_accuracy"])


def test_a_network_that_is_not_kept_is_trained_again_to_the_same_bits(
    folder: Path, mlp: FinishedNetwork
) -> None:
    said: list[str] = []
    trial_id = mlp.config.trial_id
    (folder / "networks" / f"{trial_id}.pt").rename(folder / "aside.pt")
    try:
        again = load_finished(folder / "trials" / f"{trial_id}.parquet", said.append)
    finally:
        (folder / "aside.pt").rename(folder / "networks" / f"{trial_id}.pt")
    assert len(said) == 1
    assert "trained again" in said[0]
    expected = mlp.network.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.network.state_dict().items())


def test_a_network_that_comes_out_otherwise_is_not_passed_off_as_the_stored_one(
    folder: Path, mlp: FinishedNetwork, tmp_path: Path
) -> None:
    """As on another model of CPU: its row holds other bits."""
    shutil.copytree(folder, tmp_path / "other", ignore=shutil.ignore_patterns("networks"))
    ledger, trial_id = Ledger(tmp_path / "other"), mlp.config.trial_id
    ledger.write(replace(mlp.row, val_loss=mlp.row["val_loss"] + 1e-6, test_accuracy=0.5), [])
    said: list[str] = []
    again = load_finished(tmp_path / "other" / trial_id, said.append)
    assert said[1].startswith(f"{trial_id}: trained again, it has other results than the stored ones")
    assert again.row["test_accuracy"] == mlp.row["test_accuracy"]
    assert not ledger.networks.has(trial_id)


def test_safetensors_hold_exact_zeros_and_the_facts(mlp: FinishedNetwork, tmp_path: Path) -> None:
    written = export(mlp, tmp_path / "new" / "a.safetensors", "safetensors")
    state = load_file(written.path)
    kept = sum(int(state[f"{name}.weight"].count_nonzero()) for name in ("1", "3"))
    assert kept == round(mlp.row["density"] * (784 * 60 + 600))
    assert (written.same, written.images, written.difference) == (150, 150, 0.0)
    with safe_open(written.path, "pt") as file:
        facts = NetworkFacts.of_metadata(file.metadata())
    assert (facts.trial_id, facts.density) == (mlp.row.trial_id, mlp.row.density)
    assert (facts.network["network"], facts.network["hidden"]) == ("mlp", [60])
    assert (facts.input_shape, facts.classes, facts.class_names) == ((1, 28, 28), 10, None)


def test_csr_gives_the_same_outputs_and_holds_only_what_is_left(mlp: FinishedNetwork, tmp_path: Path) -> None:
    written = export(mlp, tmp_path / "a.safetensors", "csr")
    assert written.same == 150
    assert written.difference < 1e-5
    assert set(written.speedups) == {"network", "1", "3"}
    state = load_file(written.path)
    weight = mlp.network.get_submodule("1").get_parameter("weight")
    csr = torch.sparse_csr_tensor(state["1.crow"], state["1.column"], state["1.values"], weight.shape)
    assert torch.equal(csr.to_dense(), weight)
    assert written.size < weight.numel()


def test_csr_layers_take_what_linear_layers_take() -> None:
    layer = torch.nn.Linear(7, 3)
    with torch.no_grad():
        layer.weight[:, ::2] = 0
    for bias in (True, False):
        if not bias:
            layer.register_parameter("bias", None)
        for shape in ((7,), (5, 7), (2, 5, 7)):
            inputs = torch.randn(shape)
            assert torch.allclose(CSRLinear(layer)(inputs), layer(inputs), atol=1e-6)
    assert isinstance(to_csr(torch.nn.Sequential(layer)).get_submodule("0"), CSRLinear)


def test_csr_layers_are_copied_pickled_and_moved_as_others_are() -> None:
    layer = CSRLinear(torch.nn.Linear(7, 3))
    inputs = torch.randn(5, 7)
    outputs = layer(inputs)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(inputs), outputs)
        with torch.no_grad():
            other.values.zero_()
            assert torch.equal(other(inputs), other.bias.expand(5, 3))  # it computes with its own buffers
    assert torch.equal(layer(inputs), outputs)
    assert torch.allclose(layer.double()(inputs.double()), outputs.double())
    assert layer.to("meta")._weight.is_meta


@pytest.mark.parametrize("form", ["safetensors", "csr"])
@pytest.mark.parametrize("baked", [False, True])
@pytest.mark.parametrize("smaller", [False, True])
@pytest.mark.parametrize(("label", "network"), [("magnitude", "mlp"), ("neuron-norm", "conv")])
def test_a_loaded_file_takes_bytes_and_has_the_accuracy_of_its_row(
    folder: Path, tmp_path: Path, form: Any, baked: bool, smaller: bool, label: str, network: str
) -> None:
    found = load_finished(trial(folder, label, network), quiet)
    written = export(found, tmp_path / "a.safetensors", form, smaller, baked)
    assert (written.same, written.images) == (150, 150)
    loaded = switchbench.load_network(written.path)
    assert not loaded.training
    images = found.test.source
    with torch.no_grad():
        right = loaded(images.images).argmax(1) == images.labels
    assert float(right.float().mean()) == pytest.approx(found.row.test_accuracy) == loaded.facts.test_accuracy
    assert (loaded.facts.with_normalisation, loaded.facts.without_dead_units) == (baked, smaller)
    with torch.no_grad():
        assert torch.allclose(loaded(images.images.float()), loaded(images.images))


def test_a_network_is_loaded_by_its_trial(folder: Path, mlp: FinishedNetwork) -> None:
    loaded = switchbench.load_network(trial(folder, "magnitude", "mlp"))
    images, _ = mlp.test.batch(slice(None))
    with torch.no_grad():
        assert torch.equal(loaded(mlp.test.source.images), mlp.network(images))
    assert loaded.facts.density_layers == json.loads(mlp.row.density_layers or "")


def test_code_that_torch_does_not_print_is_not_passed_on(mlp: FinishedNetwork) -> None:
    facts = NetworkFacts.of(mlp)
    words = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, padding="same"), torch.nn.ReLU())
    assert snippet(words, Path("a'b.safetensors"), "safetensors", facts).splitlines()[:3] == [
        "# without switchbench: export with --format pt2",
        "import switchbench",
        """network = switchbench.load_network("a'b.safetensors")""",
    ]
    numbers = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, padding=1), torch.nn.ReLU())
    assert "nn.Conv2d(1, 2, " in snippet(numbers, Path("a.safetensors"), "safetensors", facts)


@pytest.mark.parametrize("name", ["net.pt", "net.onnx", "net.parquet"])
def test_a_file_is_not_written_under_the_ending_of_another_kind(
    name: str, mlp: FinishedNetwork, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"{name}: .* stands for another kind of file; use .safetensors"):
        export(mlp, tmp_path / name, "safetensors")
    assert not (tmp_path / name).exists()


def test_a_network_whose_layers_have_changed_is_one_line(mlp: FinishedNetwork, tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    state = {f"other.{name}": tensor for name, tensor in mlp.network.state_dict().items()}
    save_file(state, file, NetworkFacts.of(mlp).metadata())
    with pytest.raises(InputError, match="the network 'mlp' has other layers today than in this file"):
        switchbench.load_network(file)


def test_loading_a_trial_draws_no_random_numbers_of_the_caller(folder: Path) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    load_finished(trial(folder, "magnitude", "mlp"), quiet)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none.safetensors", "none.safetensors: no such file"),
        ("a.onnx", "is a graph; load it with onnxruntime"),
        ("broken.safetensors", "was not written by switchbench export"),
        ("foreign.safetensors", "was not written by switchbench export"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"0123")
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(InputError, match=said):
        switchbench.load_network(tmp_path / name)


def test_a_network_of_a_plugin_needs_its_file(tmp_path: Path, without_plugins: None) -> None:
    plugin = tmp_path / "wide.py"
    plugin.write_text(
        "from torch import nn\nfrom switchbench.networks import Network, register\n"
        "@register('wide')\nclass Wide(Network, nn.Sequential):\n    'One layer.'\n"
        "    def __init__(self, input_shape, classes, config):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(64, classes))\n"
    )
    spec = {
        "name": "own",
        "networks": ["wide"],
        "datasets": ["digits"],
        "methods": ["magnitude"],
        "densities": [0.2],
        "seeds": 1,
        "keep_networks": True,
        "training": {"steps": 30},
    }
    out = tmp_path / "out"
    (row,) = switchbench.run(spec, out, mlflow_uri="none", plugin_files=[plugin], jobs=0).to_dict("records")
    written = export(load_finished(out / row["trial_id"], quiet), tmp_path / "a.safetensors", "safetensors")
    del NETWORKS["wide"]
    with pytest.raises(InputError, match=r"unknown network 'wide'.*plugin_files"):
        switchbench.load_network(written.path)
    with pytest.raises(InputError, match=r"unknown network 'wide': give the plug-in's file \(--plugin FILE"):
        switchbench.load_network(out / row["trial_id"])
    with pytest.raises(InputError, match=r"unknown network 'wide': give the plug-in's file \(--plugin FILE"):
        rerun(stored_trial(Ledger(out), row["trial_id"]), lambda point: None)
    del sys.modules["switchbench_plugin_wide"]
    assert switchbench.load_network(written.path, [plugin]).facts.test_accuracy == row["test_accuracy"]


def classes_by(code: str, pixels: torch.Tensor) -> torch.Tensor:
    """Run a printed snippet in a process that cannot import switchbench, and return its classes."""
    with tempfile.TemporaryDirectory() as scratch:
        torch.save(pixels, f"{scratch}/pixels.pt")
        lines = [
            "import sys, torch",
            "sys.modules['switchbench'] = None",
            f"pixels = torch.load('{scratch}/pixels.pt')",
            code,
            f"torch.save(classes, '{scratch}/classes.pt')",
        ]
        subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, cwd=scratch)
        found: torch.Tensor = torch.load(f"{scratch}/classes.pt")
    return found


def pictures(folder: Path) -> dict[str, Any]:
    """Write pictures of two kinds, dark and bright ones of unequal size, as a user has them."""
    generator = np.random.default_rng(0)
    for part, number in (("train", 40), ("test", 15)):
        for name, level in (("dark", 60), ("bright", 120)):
            (folder / part / name).mkdir(parents=True)
            for index in range(number):
                pixels = generator.normal(level, 60, (12, 12, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{index}.png")
    return {"dataset": "image-folder", "path": str(folder)}


@pytest.fixture(scope="module")
def finished(request: Any, tmp_path_factory: Any) -> FinishedNetwork:
    """A network trained on a data set, once for all forms."""
    data, folder = request.param, tmp_path_factory.mktemp("exported")
    if data == "fashion-mnist":
        try:
            datasets.load(data)
        except MissingData:
            pytest.skip("Fashion-MNIST is not on this machine")
    spec = {
        "name": "exported",
        "networks": [{"network": "mlp", "hidden": [20], "batch_norm": data == "pictures"}],
        "datasets": [pictures(folder / "pictures") if data == "pictures" else data],
        "methods": ["magnitude"],
        "densities": [0.2],
        "seeds": 1,
        "keep_networks": True,
        "training": {"steps": 100, "batch_size": 32},
    }
    (row,) = switchbench.run(spec, folder / "out", mlflow_uri="none").to_dict("records")
    return load_finished(folder / "out" / row["trial_id"], quiet)


def exports() -> Iterator[Any]:
    """Every form of each data set's network, with its normalisation beside it and baked in. The short suite has each
    form of gray images in one way and of pictures in the other; the rest is slow, Fashion-MNIST too: digits are
    gray as well."""
    for data, (index, form), baked in product(
        ("digits", "fashion-mnist", "pictures"), enumerate(("safetensors", "pt2", "onnx")), (False, True)
    ):
        short = {"digits": baked == (index == 1), "pictures": baked != (index == 1)}.get(data, False)
        yield pytest.param(data, form, baked, marks=[] if short else [pytest.mark.slow])


@pytest.mark.parametrize(("finished", "form", "baked"), exports(), indirect=["finished"])
def test_ten_lines_of_plain_pytorch_reach_the_measured_accuracy(
    finished: FinishedNetwork, tmp_path: Path, form: Any, baked: bool
) -> None:
    if form == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    written = export(finished, tmp_path / f"network.{form}", form, with_normalisation=baked)
    assert written.snippet.count("\n") < 10
    classes = classes_by(written.snippet, finished.test.source.images)
    accuracy = float((classes == finished.test.source.labels).float().mean())
    assert accuracy == pytest.approx(finished.row.test_accuracy)
    assert 1.5 / finished.classes < accuracy
    facts = facts_in(written.path, form)
    assert (facts.trial_id, facts.density) == (finished.row.trial_id, finished.row.density)
    assert (facts.network["network"], facts.with_normalisation) == ("mlp", baked)
    assert facts.density_layers == json.loads(finished.row.density_layers or "")
    assert len(facts.mean) == len(facts.std) == facts.input_shape[0]
    names = {"digits": "3", "fashion-mnist": "Dress", "image-folder": None}[finished.config.dataset.name]
    assert finished.class_names is not None
    assert finished.class_names == ("bright", "dark") if names is None else finished.class_names[3] == names


def facts_in(path: Path, form: str) -> NetworkFacts:
    """Read the facts of a file without switchbench, as docs/guides/export.md says."""
    if form == "onnx":
        import onnxruntime

        metadata = onnxruntime.InferenceSession(str(path)).get_modelmeta().custom_metadata_map
        return NetworkFacts.of_metadata(metadata)
    if form == "pt2":
        files = {"switchbench.json": ""}
        torch.export.load(path, extra_files=files)
        return NetworkFacts.of_metadata({"switchbench": files["switchbench.json"]})
    with safe_open(path, "pt") as file:
        return NetworkFacts.of_metadata(file.metadata())


def test_onnx_gives_the_same_outputs(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    found = load_finished(trial(folder, "magnitude", "conv"), quiet)
    written = export(found, tmp_path / "a.onnx", "onnx")
    assert written.same == 150
    assert written.difference < 1e-4


def test_a_smaller_network_gives_the_same_outputs(folder: Path, tmp_path: Path) -> None:
    found = load_finished(trial(folder, "neuron-norm", "conv"), quiet)
    whole = export(found, tmp_path / "a.safetensors", "safetensors")
    smaller = export(found, tmp_path / "b.safetensors", "safetensors", smaller=True)
    assert smaller.same == 150
    assert smaller.difference < 1e-4
    assert smaller.size < 0.5 * whole.size


def test_a_trial_without_a_network_is_one_line(folder: Path) -> None:
    with pytest.raises(InputError, match="the trial has no network: skipped: needs batch norms"):
        load_finished(trial(folder, "network-slimming", "mlp"), quiet)
    with pytest.raises(InputError, match=r"no trial 'nothing'; `switchbench list .*` shows"):
        load_finished(folder / "nothing", quiet)
    with pytest.raises(InputError, match="holds no comparison; expected FOLDER/TRIAL_ID"):
        load_finished(folder / "nowhere" / "nothing", quiet)


def test_the_beginning_of_an_id_is_enough(folder: Path) -> None:
    path = Path(str(trial(folder, "magnitude", "mlp")))
    short = load_finished(path.parent / path.name[:8], quiet)
    assert short.row.trial_id == path.name


def test_a_comparison_may_have_the_name_of_one_of_its_folders(folder: Path, tmp_path: Path) -> None:
    """The trial is named by its id, or by one of its files, in either folder."""
    named = shutil.copytree(folder, tmp_path / "networks", ignore=shutil.ignore_patterns("report", "logs"))
    trial_id = Path(trial(folder, "magnitude", "mlp")).name
    for path in (named / trial_id[:8], named / "networks" / f"{trial_id}.pt", named / "trials" / trial_id):
        assert load_finished(path, quiet).row.trial_id == trial_id


def test_seconds_are_of_one_pass() -> None:
    calls: list[bool] = []

    class Slow(torch.nn.Module):
        def forward(self, images: Any) -> Any:
            calls.append(self.training or torch.is_grad_enabled())
            torch.mm(torch.ones(300, 300), torch.ones(300, 300))
            return images

    threads = torch.get_num_threads()
    slow, nothing = seconds([Slow(), torch.nn.Identity()], [torch.zeros(1)] * 2)
    assert 0 < nothing < slow < 1
    assert len(calls) == WARM_UP + ROUNDS
    assert not any(calls)
    assert torch.get_num_threads() == threads


def test_times_of_a_comparison_reach_its_report(folder: Path) -> None:
    text = invoke("latency", str(folder), "--batch", "8")
    measured = Ledger(folder).results().query("status == 'ok'")
    assert f"{len(measured)} networks timed" in text
    timed = Ledger(folder).latencies()
    assert len(timed) == len(FORMS) * len(measured)
    invoke("latency", str(folder), "--batch", "8")  # again: times replace the earlier ones
    assert len(Ledger(folder).latencies()) == len(timed)
    fastest = with_latency(Ledger(folder).results(), [Ledger(folder)]).set_index("trial_id")["latency"]
    for trial_id, own in Ledger(folder).latencies().groupby("trial_id"):
        assert fastest[trial_id] == own["seconds"].min() / 8
    invoke("report", str(folder))
    (costs, *_) = sorted((folder / "report" / "tables").rglob("costs.csv"))
    assert (pd.read_csv(costs)["latency"] > 0).all()
    assert "latency per image" in (folder / "report" / "report.md").read_text()


def test_latency_of_every_form_at_every_batch_size(folder: Path) -> None:
    where = trial(folder, "neuron-norm", "mlp")
    text = invoke("latency", where, "--batch", "1", "--batch", "300")
    for batch in (1, 300):  # more than there are test images
        for form in FORMS:
            assert re.search(rf" {batch} {form} [\d.]+ [\d.]+ ", text), (form, text)
    with pytest.raises(InputError, match="--batch 0: batch sizes should be 1 or more"):
        invoke("latency", where, "--batch", "0")
    with pytest.raises(InputError, match="--device 'tpu'"):
        invoke("latency", where, "--device", "tpu")


def test_forms_have_the_same_outputs(folder: Path) -> None:
    found = load_finished(trial(folder, "neuron-norm", "mlp"), quiet)
    images = found.test.batch(slice(None))[0]
    with torch.no_grad():
        expected = found.network(images)
        for make in FORMS.values():
            torch.testing.assert_close(
                make(found.network, images[:1])(images), expected, rtol=1e-4, atol=1e-4
            )


def invoke(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def test_inspect_a_network() -> None:
    said = invoke("inspect", "lenet-300-100", "--dataset", "mnist")
    assert "1 Linear 300×784 yes 235,200 235,200" in said
    assert "all 266,200 266,200" in said
    assert "266,610 parameters" in said


def test_layers_that_are_not_called_have_no_known_macs(tmp_path: Path) -> None:
    (tmp_path / "functional.py").write_text(
        "from torch import nn\nfrom torch.nn.functional import linear\n"
        "from switchbench.networks import Network, register\n"
        "@register('functional')\nclass Functional(Network, nn.Module):\n    'Uses the weights of a layer.'\n"
        "    def __init__(self, input_shape, classes, config):\n"
        "        super().__init__()\n"
        "        self.hidden, self.out = nn.Linear(64, 32), nn.Linear(32, classes)\n"
        "    def forward(self, x):\n"
        "        return self.out(linear(x.flatten(1), self.hidden.weight).relu())\n"
    )
    plugin = str(tmp_path / "functional.py")
    said = invoke("inspect", "functional", "--dataset", "digits", "--plugin", plugin)
    del NETWORKS["functional"]
    assert "hidden Linear 32×64 yes 2,048 – out Linear 10×32 yes 320 320" in said
    assert "in scope 2,368 – all 2,368 –" in said


def test_inspect_a_trial(folder: Path, tmp_path: Path) -> None:
    said = invoke("inspect", trial(folder, "neuron-norm", "conv"), "--picture", str(tmp_path / "masks.png"))
    found = load_finished(trial(folder, "neuron-norm", "conv"), quiet)
    assert f"{found.row['density']:.2%}" in said
    assert f"{found.row['macs']:,}" in said
    assert "MACs dense without dead units" in said
    assert (tmp_path / "masks.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lenet-5", "--dataset", "digits"], "network 'lenet-5': images of 8×8 pixels are too small"),
        (["lenet-5", "--dataset", "mnits"], "unknown dataset 'mnits'; did you mean 'mnist'"),
        (["lenet-5", "--set", "bais=false"], "unknown key 'bais'; did you mean 'bias'"),
        (["lenet-5", "--picture", "x.png"], "--picture x.png: works only for a trial, whose masks it draws"),
        (["TRIAL", "--picture", "no/such/folder/x.png"], "--picture no/such/folder/x.png: "),
        (["TRIAL", "--scope", "all"], "--scope: works only for a network's name; a trial has its own"),
        (["TRIAL", "--dataset", "digits"], "--dataset: works only for a network's name; a trial has its own"),
    ],
)
def test_inspecting_nothing_is_one_line(arguments: list[str], said: str, folder: Path) -> None:
    arguments = [trial(folder, "magnitude", "mlp") if word == "TRIAL" else word for word in arguments]
    with pytest.raises(InputError, match=said):
        CliRunner().invoke(app, ["inspect", *arguments], catch_exceptions=False)


def test_a_trial_of_other_code_is_not_passed_off_as_this(
    folder: Path, mlp: FinishedNetwork, monkeypatch: Any
) -> None:
    from switchbench.methods import Magnitude

    monkeypatch.setattr(Magnitude, "version", 99)
    with pytest.raises(InputError, match="another version of the method, network or data set"):
        load_finished(f"{folder}/{mlp.config.trial_id}", quiet)


def test_export_says_where_and_how_well(folder: Path, tmp_path: Path) -> None:
    said = invoke(
        "export", trial(folder, "magnitude", "mlp"), "--format", "csr", "--out", str(tmp_path / "x")
    )
    assert "same class on 150 of 150 test images" in said
    assert "times as fast as dense" in said


def test_arrays_of_stored_networks_are_their_masks_and_weights(folder: Path) -> None:
    ledger = Ledger(folder)
    results = ledger.results()
    results = results[(results["label"] == "magnitude") & (results["status"] == "ok")]
    arrays = stored_arrays([Ledger(folder / "nothing"), ledger], results)
    assert arrays.masks.keys() == arrays.weights.keys() == {*results[TASK].itertuples(index=False, name=None)}
    for row in results.to_dict("records"):
        task = (row["network"], row["dataset"], row["scope"])
        network = load_finished(f"{folder}/{row['trial_id']}", quiet).network
        name, first = next(iter(prunable(network).items()))
        weight = first.get_parameter("weight").detach()
        assert arrays.weights[task]["magnitude"][name].tolist() == weight.tolist()
        kept = arrays.masks[task]["magnitude"]
        assert kept.shape == (28, 28)
        if weight.dim() == 2:
            assert kept.ravel().tolist() == (weight != 0).sum(0).tolist()
    assert not stored_arrays([Ledger(folder / "nothing")], results).masks


def test_connections_of_a_convolution_are_counted_where_they_read() -> None:
    layer = torch.nn.Conv2d(1, 1, 2, bias=False)
    layer.weight.data = torch.tensor([[[[1.0, 0.0], [0.0, -2.0]]]])
    kept = kept_per_pixel(torch.nn.Sequential(layer, torch.nn.ReLU()), torch.zeros(1, 1, 3, 3))
    assert kept is not None
    assert kept.tolist() == [[1, 1, 0], [1, 2, 1], [0, 1, 1]]


class Odd(torch.nn.Module):
    """A network of two layers, the last of which is declared first, with what may stand before them."""

    def __init__(self, before: Any) -> None:
        super().__init__()
        self.idle, self.head, self.body = torch.nn.Linear(3, 3), torch.nn.Linear(2, 3), torch.nn.Linear(4, 2)
        self.before = before

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(self.body(self.before(images).flatten(1)).relu())
        return scores


def test_connections_are_counted_of_the_layer_that_reads_the_image() -> None:
    def shifted(images: torch.Tensor) -> torch.Tensor:
        images -= 0.5  # in place
        return images

    for before in (torch.nn.Identity(), shifted):
        network = Odd(before)
        network.body.weight.data = torch.tensor([[0.5, 0, 0, 0], [-1, 0, 0, 2]])
        kept = kept_per_pixel(network, torch.zeros(1, 1, 2, 2))
        assert kept is not None
        assert kept.tolist() == [[2, 0], [0, 1]]


def turned(images: torch.Tensor) -> torch.Tensor:
    return -images


def failing(images: torch.Tensor) -> torch.Tensor:
    raise ZeroDivisionError


def spread(images: torch.Tensor) -> torch.Tensor:
    return images / images.std()  # which is 0


@pytest.mark.parametrize(
    "network", [Odd(turned), Odd(failing), Odd(spread), Odd(torch.detach), torch.nn.Flatten()]
)
def test_a_network_whose_connections_cannot_be_counted_has_no_picture(network: torch.nn.Module) -> None:
    assert kept_per_pixel(network, torch.zeros(1, 1, 2, 2)) is None


def test_a_stored_network_without_a_picture_ends_no_report(folder: Path, monkeypatch: Any) -> None:
    results = Ledger(folder).results()
    monkeypatch.setattr(arrays, "kept_per_pixel", lambda network, image: None)
    found = arrays.stored_arrays([Ledger(folder)], results)
    assert not found.masks
    assert found.weights

    def changed(*_: Any) -> Any:
        raise TypeError("the plug-in's network takes other arguments today")

    monkeypatch.setattr(NetworkChoice, "build", changed)
    assert arrays.stored_arrays([Ledger(folder)], results) == arrays.StoredArrays()
