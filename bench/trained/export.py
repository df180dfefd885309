"""Finished networks as files that others read, compared with the network that was measured."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from switchbench.errors import InputError
from switchbench.measure.csr import to_csr
from switchbench.measure.evaluation import CHUNK
from switchbench.measure.latency import seconds
from switchbench.measure.shrink import shrink
from switchbench.trained.load import Finished

Format = Literal["safetensors", "onnx", "csr"]
BATCH = 64


@dataclass(frozen=True)
class Export:
    """What was written, and how it compares."""

    path: Path
    size: int
    """Bytes of the file."""
    images: int
    """Test images on which outputs were compared."""
    same: int
    """How many of them get the same class."""
    difference: float
    """Largest absolute difference of an output."""
    speedups: dict[str, float]
    """Time of the dense network over that of the exported one in PyTorch, one thread, 64 images: of the
    whole, and of each fully connected layer by name. Empty where PyTorch runs the same network."""


def export(finished: Finished, path: Path, form: Format, smaller: bool = False) -> Export:
    """Write a finished network as ``form`` and compare the outputs with it on every test image.

    ``smaller``: without the units that do nothing. Raises OSError if the file cannot be written.
    """
    image = finished.test.batch(slice(0, 1))[0]
    network = shrink(finished.network, image) if smaller else finished.network
    path.parent.mkdir(parents=True, exist_ok=True)
    speedups: dict[str, float] = {}
    if form == "onnx":
        run = _onnx(network, image, path)
    elif form == "csr":
        run = sparse = to_csr(network)
        _safetensors(sparse, path, finished)
        speedups = _speedups(network, sparse, finished.test.batch(slice(0, BATCH))[0])
    else:
        run = network
        _safetensors(network, path, finished)
        if smaller:
            images = finished.test.batch(slice(0, BATCH))[0]
            speedups = {"network": _ratio(finished.network, network, images)}
    same, difference = _compare(finished, run)
    return Export(path, path.stat().st_size, len(finished.test), same, difference, speedups)


def _safetensors(network: nn.Module, path: Path, finished: Finished) -> None:
    """The state of a network, with the trial that it comes from in the file's header."""
    from safetensors.torch import save

    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    path.write_bytes(save(state, {"trial": finished.config.model_dump_json()}))


def _onnx(network: nn.Module, image: Tensor, path: Path) -> Callable[[Tensor], Tensor]:
    """Write the network for any number of images; return what ONNX Runtime makes of it."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  # torch's exporter asks for it
    except ModuleNotFoundError as error:
        raise InputError("--format onnx: pip install 'switchbench[onnx]'") from error
    batch = torch.export.Dim("batch")
    program = torch.onnx.export(
        network, (image.expand(2, -1, -1, -1),), dynamic_shapes=({0: batch},), dynamo=True, verbose=False
    )
    assert program is not None
    program.save(str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (name,) = (argument.name for argument in session.get_inputs())
    return lambda images: torch.from_numpy(session.run(None, {name: images.numpy()})[0])


@torch.no_grad()
def _compare(finished: Finished, run: Callable[[Tensor], Tensor]) -> tuple[int, float]:
    same, difference = 0, 0.0
    for start in range(0, len(finished.test), CHUNK):
        images, _ = finished.test.batch(slice(start, start + CHUNK))
        expected, given = finished.network(images), run(images)
        same += int((expected.argmax(1) == given.argmax(1)).sum())
        difference = max(difference, float((expected - given).abs().max()))
    return same, difference


def _speedups(dense: nn.Module, sparse: nn.Module, images: Tensor) -> dict[str, float]:
    seen: dict[str, Tensor] = {}
    layers = {name: layer for name, layer in dense.named_modules() if type(layer) is nn.Linear}
    handles = [
        layer.register_forward_pre_hook(lambda _, inputs, name=name: seen.__setitem__(name, inputs[0]))
        for name, layer in layers.items()
    ]
    with torch.no_grad():
        dense(images)
    for handle in handles:
        handle.remove()
    speedups = {"network": _ratio(dense, sparse, images)}
    for name, layer in layers.items():
        speedups[name] = _ratio(layer, sparse.get_submodule(name), seen[name])
    return speedups


def _ratio(dense: nn.Module, other: nn.Module, inputs: Tensor) -> float:
    before, after = seconds([dense, other], [inputs, inputs])
    return before / after
