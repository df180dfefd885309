"""Files of finished networks: written with all that is needed to use them, and read again."""

import logging
from collections.abc import Iterable
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from switchbench.errors import InputError, explain
from switchbench.measure.csr import csr_matrix, to_csr
from switchbench.plugins import load as plugins
from switchbench.spec.components import NetworkChoice
from switchbench.trained.config import unknown_parts
from switchbench.trained.facts import NetworkFacts
from switchbench.trained.load import load_finished
from switchbench.trained.normalised import Normalised

_logger = logging.getLogger(__name__)
GRAPHS = {".onnx": "onnxruntime.InferenceSession", ".pt2": "torch.export.load"}
"""Endings of files that hold a graph, with what loads them."""
OF_TRIALS = (".parquet", ".pt")
"""Endings of the files of a comparison, which name a trial."""


class LoadedNetwork(Normalised):
    """A finished network, ready to use, with what is known of it."""

    def __init__(self, network: nn.Module, facts: NetworkFacts) -> None:
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (facts.mean, facts.std))
        super().__init__(network, mean, std)
        self.facts = facts


def load_network(source: str | Path, plugin_files: Iterable[str | Path] = ()) -> LoadedNetwork:
    """Load a finished network: of a trial, or from an exported file.

    If a comparison did not keep the network of a trial, it is trained again, and the log says so.

    Args:
        source: ``FOLDER/TRIAL_ID``, where FOLDER holds a comparison and the id may be cut short; or a file
            that ``switchbench export`` wrote as safetensors. The file is all that is needed.
        plugin_files: As in :func:`switchbench.run`, for a network of your own.

    Returns:
        A module in eval mode. It takes pixel values from 0 to 255, (n, channels, height, width) of bytes or
        floats, normalises them as in its training, and returns logits (n, classes). Its ``facts`` say where
        it comes from, what the classes are called, and its density and test accuracy.

    Raises:
        InputError: There is no such file or trial, the file was not written by ``switchbench export``, or it
            holds a network of a plug-in that is not given.

    Example:
        ::

            network = switchbench.load_network("results/mine/3f2a")
            classes = network(pixels).argmax(1)     # pixels: bytes, (n, 1, 28, 28)
            print(network.facts.class_names, network.facts.test_accuracy)
    """
    plugins.load(plugin_files)
    path = Path(source)
    if reader := GRAPHS.get(path.suffix):
        raise InputError(f"{path}: is a graph; load it with {reader}")
    if path.suffix == ".safetensors" or (path.is_file() and path.suffix not in OF_TRIALS):
        return _read(path)
    finished = load_finished(str(source), _logger.warning)
    return LoadedNetwork(finished.network, NetworkFacts.of(finished))


def write_safetensors(network: nn.Module, path: Path, facts: NetworkFacts) -> None:
    """Write a network's state dict, with the facts in the file's header. Raises OSError."""
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    path.write_bytes(save(state, facts.metadata()))


def _read(path: Path) -> LoadedNetwork:
    try:
        with safe_open(path, "pt") as file:
            facts = NetworkFacts.of_metadata(file.metadata() or {})
            state: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path}: is broken, or was not written by switchbench export ({error})") from error
    try:
        choice = NetworkChoice.model_validate(facts.network)
    except ValidationError as error:
        why = unknown_parts({"network": facts.network}) or explain(error, NetworkChoice)
        raise InputError(f"{path}: {why}") from error
    try:
        with torch.random.fork_rng(devices=[]):
            network = choice.build(facts.input_shape, facts.classes)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    if facts.with_normalisation:
        prefix = "network."
        state = {
            name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)
        }
    sparse = [name.removesuffix("crow") for name in state if name.rpartition(".")[2] == "crow"]
    for layer in sparse:
        parts = [state.pop(f"{layer}{part}") for part in ("crow", "column", "values")]
        shape = facts.shapes[f"{layer}weight"]
        state[f"{layer}weight"] = csr_matrix(parts[0], parts[1], parts[2], (shape[0], shape[1])).to_dense()
    _resize(network, state)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        name = choice.name
        raise InputError(f"{path}: the network {name!r} has other layers today than in this file") from error
    return LoadedNetwork(to_csr(network) if sparse else network, facts)


def _resize(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Give the layers of a network the sizes of a state dict, so that it can be loaded.

    Args:
        network: A network as it was built. Its values are lost where sizes differ.
        state: The state of the same network without dead units.
    """
    for name, module in network.named_modules():
        own = {
            key.rpartition(".")[2]: tensor for key, tensor in state.items() if key.rpartition(".")[0] == name
        }
        for key, tensor in own.items():
            if key in module._buffers:
                module._buffers[key] = torch.empty_like(tensor)
            else:
                module._parameters[key] = nn.Parameter(torch.empty_like(tensor))
        if isinstance(module, nn.Linear) and "weight" in own:
            module.out_features, module.in_features = own["weight"].shape
        elif isinstance(module, nn.Conv2d) and "weight" in own:
            depthwise = module.groups == module.out_channels > 1
            module.out_channels, inputs = own["weight"].shape[:2]
            module.groups = module.out_channels if depthwise else module.groups
            module.in_channels = inputs * module.groups
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and "running_mean" in own:
            module.num_features = len(own["running_mean"])
