"""A data set or a network is added by one module: it registers, runs, and travels to workers without its file."""

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray import cloudpickle

from switchbench import TrialConfig, run_trial
from switchbench.datasets import DATASETS
from switchbench.networks import NETWORKS
from switchbench.plugins import load as plugins
from switchbench.plugins.transfer import extensions

DATASET = '''
import torch
from pydantic import BaseModel
from switchbench.datasets import Data, Facts, Images, register


class Config(BaseModel):
    model_config = {"extra": "forbid", "frozen": True}
    count: int = 60


def draw(count):
    labels = torch.arange(count) % 2
    images = torch.zeros(count, 1, 8, 8, dtype=torch.uint8)
    images[labels == 1, :, ::2] = 255
    images[labels == 0, :, :, ::2] = 255
    return Images(images, labels)


@register("stripes", config=Config, version=3)
def stripes(folder, config):
    """Horizontal and vertical stripes."""
    return Data(draw(config.count), draw(20), 2)


@register("plain-stripes", facts=Facts(60, (1, 8, 8), 2))
def plain(folder):
    """Stripes without options."""
    return Data(draw(60), draw(20), 2)
'''
NETWORK = '''
import math
from torch import nn
from switchbench.networks import Network, register


@register("linear")
class Linear(Network, nn.Sequential):
    """One fully connected layer."""

    def __init__(self, input_shape, classes, config):
        super().__init__(nn.Flatten(), nn.Linear(math.prod(input_shape), classes))
'''
WORKER = """
import pickle, sys
shipped, configs = pickle.loads(sys.stdin.buffer.read())
from switchbench import TrialConfig
from switchbench.plugins.transfer import register_shipped
register_shipped(shipped)
print(*[TrialConfig.model_validate_json(config).trial_id for config in configs])
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Path]:
    """A folder for plug-in files; what they register is taken back."""
    names = {id(registry): {*registry} for registry in (DATASETS, NETWORKS)}
    yield tmp_path
    for registry in (DATASETS, NETWORKS):
        for name in {*registry} - names[id(registry)]:
            del registry[name]


def trial(**fields: object) -> TrialConfig:
    defaults = {
        "network": "mlp",
        "dataset": "digits",
        "training": {"steps": 100, "batch_size": 16, "lr": 0.01},
    }
    return TrialConfig.of(**(defaults | {"method": "magnitude", "density": 0.5} | fields))


def test_a_data_set_from_one_module(plugin: Path) -> None:
    (plugin / "stripes.py").write_text(DATASET)
    plugins.load([plugin / "stripes.py"])
    config = trial(dataset={"dataset": "stripes", "count": 80}, network={"network": "mlp", "hidden": [8]})
    assert config.dataset.identity().keys() == {"name", "version", "options", "source"}
    assert config.dataset.identity()["version"] == 3
    assert config.dataset.facts().train == 80
    assert trial(dataset="plain-stripes").dataset.facts().train == 60
    assert DATASETS["stripes"].description == "Horizontal and vertical stripes."
    assert run_trial(config).row["test_accuracy"] == 1


def test_a_network_from_one_module(plugin: Path) -> None:
    (plugin / "linear.py").write_text(NETWORK)
    plugins.load([plugin / "linear.py"])
    row = run_trial(trial(network="linear", scope="all")).row
    assert row["density"] == pytest.approx(0.5, abs=1e-2)
    assert row["test_accuracy"] > 0.3


def test_plugins_keep_their_trial_ids_on_a_worker_without_their_files(plugin: Path) -> None:
    (plugin / "stripes.py").write_text(DATASET)
    (plugin / "linear.py").write_text(NETWORK)
    for module in plugins.load([plugin / "stripes.py", plugin / "linear.py"]):
        cloudpickle.register_pickle_by_value(module)
    configs = [trial(dataset=name, network="linear") for name in ("stripes", "plain-stripes", "digits")]
    sent = io.BytesIO()
    cloudpickle.dump((extensions(), [config.model_dump_json() for config in configs]), sent)
    for file in plugin.iterdir():
        file.unlink()
    done = subprocess.run(
        [sys.executable, "-c", WORKER], input=sent.getvalue(), capture_output=True, check=False
    )
    assert done.stdout.decode().split() == [config.trial_id for config in configs], done.stderr.decode()


def test_a_changed_plugin_has_other_trial_ids(plugin: Path) -> None:
    ids = []
    for text in (DATASET, f"{DATASET}# another\n"):
        (plugin / "stripes.py").write_text(text)
        plugins.load([plugin / "stripes.py"])
        ids.append(trial(dataset="stripes").trial_id)
    assert ids[0] != ids[1]


def test_a_taken_name_is_refused(plugin: Path) -> None:
    (plugin / "mine.py").write_text(DATASET.replace("plain-stripes", "digits"))
    with pytest.raises(Exception, match="the data set name 'digits' is taken by switchbench"):
        plugins.load([plugin / "mine.py"])
