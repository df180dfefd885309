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
from switchbench.trained.facts import NetworkFacts
from switchbench.trained.files import GRAPHS, OF_TRIALS, write_safetensors
from switchbench.trained.graphs import write_onnx, write_pt2
from switchbench.trained.load import FinishedNetwork
from switchbench.trained.normalised import Normalised
from switchbench.trained.snippet import snippet

Format = Literal["safetensors", "csr", "onnx", "pt2"]
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
    image: tuple[int, int, int]
    """Channels, height and width of the images that the network takes."""
    snippet: str
    """Python code that loads the file and classifies images."""


def export(
    finished: FinishedNetwork,
    path: Path,
    form: Format,
    smaller: bool = False,
    with_normalisation: bool = False,
) -> Export:
    """Write a finished network to a file, and compare outputs on every test image.

    Every file holds the :class:`~switchbench.trained.facts.NetworkFacts` as metadata.

    Args:
        finished: What is exported.
        path: The file; its folder is created.
        form: ``safetensors`` and ``csr`` write a state dict; ``onnx`` and ``pt2``, which is torch.export's, a
            graph for any number of images.
        smaller: Whether to remove dead units first.
        with_normalisation: Whether the exported network takes pixel values from 0 to 255 and normalises them.

    Returns:
        The file's size, agreement with the measured network, and measured speedups.

    Raises:
        InputError: ``onnx`` is asked for, and its packages are not installed; or the file has the ending of
            another kind of file, by which it would be read.
        OSError: The file cannot be written.
    """
    if form in ("safetensors", "csr") and path.suffix in (*GRAPHS, *OF_TRIALS):
        raise InputError(f"--out {path}: {path.suffix} stands for another kind of file; use .safetensors")
    image = finished.test.batch(slice(0, 1))[0]
    network = shrink(finished.network, image) if smaller else finished.network
    facts = NetworkFacts.of(
        finished, network, with_normalisation=with_normalisation, without_dead_units=smaller
    )
    small = to_csr(network) if form == "csr" else network
    written = Normalised(small, finished.test.mean, finished.test.std) if with_normalisation else small
    example = _images(finished, slice(0, 2), with_normalisation)
    path.parent.mkdir(parents=True, exist_ok=True)
    run: Callable[[Tensor], Tensor] = written
    if form == "onnx":
        run = write_onnx(written, example, path, facts)
    elif form == "pt2":
        run = write_pt2(written, example, path, facts)
    else:
        write_safetensors(written, path, facts)
    same, difference = _compare(finished, run, with_normalisation)
    images = finished.test.batch(torch.arange(BATCH) % len(finished.test))[0]
    speedups: dict[str, float] = {}
    if form == "csr":
        speedups = _speedups(network, small, images)
    elif form == "safetensors" and smaller:
        speedups = {"network": _ratio(finished.network, network, images)}
    shown, size = snippet(written, path, form, facts), path.stat().st_size
    return Export(path, size, len(finished.test), same, difference, speedups, facts.input_shape, shown)


def _images(finished: FinishedNetwork, index: slice, raw: bool) -> Tensor:
    """Return test images, as bytes or normalised."""
    return finished.test.source.images[index] if raw else finished.test.batch(index)[0]


@torch.no_grad()
def _compare(finished: FinishedNetwork, run: Callable[[Tensor], Tensor], raw: bool) -> tuple[int, float]:
    same, difference = 0, 0.0
    for start in range(0, len(finished.test), CHUNK):
        index = slice(start, start + CHUNK)
        expected = finished.network(_images(finished, index, raw=False))
        actual = run(_images(finished, index, raw))
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
