"""Python code that loads an exported network and classifies images, as short as it can be."""

from pathlib import Path

from torch import nn

from switchbench.trained.facts import NetworkFacts
from switchbench.trained.normalised import Normalised

GRAPHS = ("onnx", "pt2")
"""Formats that hold a graph, with the normalisation if it was asked for."""


def snippet(network: nn.Module, path: Path, form: str, facts: NetworkFacts) -> str:
    """Return code that needs PyTorch alone where it can: for graphs, and for state dicts of plain sequences.

    Args:
        network: What the file holds.
        path: The file.
        form: Its format, as :func:`~switchbench.trained.export.export` takes it.
        facts: What the file says of its network.

    Returns:
        Lines of code. ``pixels`` are the images, bytes (n, channels, height, width); ``classes`` is the
        result, class numbers (n,).
    """
    if form == "onnx":
        load = ["import onnxruntime, torch", f"session = onnxruntime.InferenceSession({str(path)!r})"]
        call = "torch.from_numpy(session.run(None, {session.get_inputs()[0].name: IMAGES.numpy()})[0])"
    elif form == "pt2":
        load, call = (
            ["import torch", f"network = torch.export.load({str(path)!r}).module()"],
            "network(IMAGES)",
        )
    elif code := _code(network.network if isinstance(network, Normalised) else network):
        load = [
            "import torch",
            "from safetensors.torch import load_file",
            "from torch import nn",
            f"network = {code}",
            f"state = load_file({str(path)!r})",
            "network.load_state_dict(STATE)",
            "network.eval()",
        ]
        state = "state"
        if facts.with_normalisation:
            state = '{name[8:]: each for name, each in state.items() if name.startswith("network.")}'
        load = [line.replace("STATE", state) for line in load]
        call = "network(IMAGES)"
    else:
        load = ["import switchbench", f"network = switchbench.load_network({str(path)!r})"]
        if form != "csr":
            load = ["# without switchbench: export with --format pt2", *load]
        call = "network(pixels)"
    plain = form in GRAPHS and facts.with_normalisation
    lines = [*load]
    if "IMAGES" in call and not plain:
        mean, std = (f"torch.tensor({[*values]}).view(-1, 1, 1)" for values in (facts.mean, facts.std))
        lines += [f"images = (pixels.float() - {mean}) / {std}"]
    return "\n".join(
        [*lines, f"classes = {call.replace('IMAGES', 'pixels' if plain else 'images')}.argmax(1)"]
    )


def _code(network: nn.Module) -> str | None:
    """Return code that builds a sequence of torch's layers; None for any other network, and where what a
    layer prints is no code, as with a padding that is a word."""
    if not isinstance(network, nn.Sequential) or type(network).forward is not nn.Sequential.forward:
        return None
    layers = [*network]
    if any(
        getattr(nn, type(layer).__name__, None) is not type(layer) or [*layer.children()] for layer in layers
    ):
        return None
    code = f"nn.Sequential({', '.join(f'nn.{layer!r}' for layer in layers)})"
    try:
        built = eval(code, {"nn": nn})  # what torch's layers print of themselves
    except (NameError, SyntaxError, TypeError, ValueError):
        return None
    return code if [*map(repr, built)] == [*map(repr, layers)] else None
