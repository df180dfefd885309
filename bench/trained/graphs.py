"""Graphs of finished networks, which need nothing of switchbench to run: ONNX and torch.export."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from switchbench.errors import InputError
from switchbench.trained.facts import KEY, NetworkFacts

Run = Callable[[Tensor], Tensor]
"""Runs a written graph."""


def write_onnx(network: nn.Module, images: Tensor, path: Path, facts: NetworkFacts) -> Run:
    """Write a network as ONNX for any number of images, with the facts as the model's metadata.

    Args:
        network: In eval mode.
        images: Two images of the kind that the network takes.
        path: The file.
        facts: What the file says of its network.

    Returns:
        A function that runs the file.

    Raises:
        InputError: The packages for ONNX are not installed.
        OSError: The file cannot be written.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  # torch's exporter needs it
    except ModuleNotFoundError as error:
        raise InputError(
            "--format onnx needs more packages: pip install onnx onnxscript onnxruntime"
        ) from error
    program = torch.onnx.export(
        network, (images,), dynamic_shapes=(_any_number(),), dynamo=True, verbose=False
    )
    assert program is not None
    program.model.metadata_props.update(facts.metadata())
    program.save(str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (name,) = (argument.name for argument in session.get_inputs())
    return lambda images: torch.from_numpy(session.run(None, {name: images.numpy()})[0])


def write_pt2(network: nn.Module, images: Tensor, path: Path, facts: NetworkFacts) -> Run:
    """Write a network as torch.export does, for any number of images, with the facts as an extra file.

    Arguments, result and OSError are those of :func:`write_onnx`.
    """
    program = torch.export.export(network, (images,), dynamic_shapes=(_any_number(),))
    torch.export.save(program, path, extra_files={f"{KEY}.json": facts.model_dump_json()})
    written: Any = torch.export.load(path)
    run: Run = written.module()
    return run


def _any_number() -> dict[int, Any]:
    return {0: torch.export.Dim("batch")}
