"""Export finished networks to files, and compare the exported networks with the measured ones."""

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
from switchbench.trained.load import FinishedNetwork

Format = Literal["safetensors", "onnx", "csr"]
BATCH = 64
"""Images in the batch that is timed."""


@dataclass(frozen=True)
class Export:
    """The written file, and how the exported network compares with the measured one."""

    path: Path
    size: int
    """Bytes of the file."""
    images: int
    """Number of test images on which outputs were compared."""
    same: int
    """Number of these images that both networks put into the same class."""
    difference: float
    """Largest absolute difference of a logit."""
    speedups: dict[str, float]
    """Time of the dense network over time of the exported one in PyTorch, with one thread and 64 images.
    ``network`` is the full network; other keys are fully connected layers. Empty if both are the same."""


def export(finished: FinishedNetwork, path: Path, form: Format, smaller: bool = False) -> Export:
    """Write a finished network to a file, and compare outputs on every test image.

    Args:
        finished: What is exported.
        path: The file; its folder is created.
        form: ``safetensors`` and ``csr`` write a state dict, ``onnx`` a graph for any number of images.
        smaller: Whether to remove dead units first.

    Returns:
        The file's size, agreement with the measured network, and measured speedups.

    Raises:
        InputError: ``onnx`` is asked for, and its packages are not installed.
        OSError: The file cannot be written.
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


def _safetensors(network: nn.Module, path: Path, finished: FinishedNetwork) -> None:
    """Write a network's state dict, with the trial's config in the file's header."""
    from safetensors.torch import save

    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    path.write_bytes(save(state, {"trial": finished.config.model_dump_json()}))


def _onnx(network: nn.Module, image: Tensor, path: Path) -> Callable[[Tensor], Tensor]:
    """Write the network as ONNX for any number of images. Return a function that runs the file."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  # torch's exporter needs it
    except ModuleNotFoundError as error:
        raise InputError("--format onnx needs more packages: pip install 'switchbench[onnx]'") from error
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
def _compare(finished: FinishedNetwork, run: Callable[[Tensor], Tensor]) -> tuple[int, float]:
    same, difference = 0, 0.0
    for start in range(0, len(finished.test), CHUNK):
        images, _ = finished.test.batch(slice(start, start + CHUNK))
        expected, actual = finished.network(images), run(images)
        same += int((expected.argmax(1) == actual.argmax(1)).sum())
        difference = max(difference, float((expected - actual).abs().max()))
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
