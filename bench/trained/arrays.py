"""What figures show of stored networks: connections kept per input pixel, and the weights of each layer."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from switchbench.networks.layers import prunable
from switchbench.reports.sources import TaskKey
from switchbench.row import Status
from switchbench.store.ledger import Ledger
from switchbench.trained.config import config_of

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class StoredArrays:
    """Arrays by task and label."""

    masks: dict[TaskKey, dict[str, Array]] = field(default_factory=dict)
    """Connections of the first layer that are kept, per pixel (height, width), mean over seeds."""
    weights: dict[TaskKey, dict[str, dict[str, Array]]] = field(default_factory=dict)
    """Weights of each linear and convolution layer, of the first stored seed."""


def stored_arrays(ledgers: Sequence[Ledger], trials: pd.DataFrame) -> StoredArrays:
    """Read the stored networks of trials. Trials without one, or of unknown code or data, are left out.

    Args:
        ledgers: Where networks may be stored.
        trials: Rows of their table: of one target density per task, as arrays are named by label.

    Returns:
        The arrays; empty if no network is stored.
    """
    found = StoredArrays()
    counts: dict[tuple[TaskKey, str], list[Array]] = {}
    for row in trials[trials["status"] == Status.OK].to_dict("records"):
        task, label = (row["network"], row["dataset"], row["scope"]), row["label"]
        stored = (_stored_network(ledger, row["trial_id"], row["config"]) for ledger in ledgers)
        if not (loaded := next(filter(None, stored), None)):
            continue
        network, image = loaded
        if (kept := kept_per_pixel(network, image)) is not None:
            counts.setdefault((task, label), []).append(kept)
        layers = {
            name: layer.get_parameter("weight").detach().numpy() for name, layer in prunable(network).items()
        }
        found.weights.setdefault(task, {}).setdefault(label, layers)
    for (task, label), each in counts.items():
        found.masks.setdefault(task, {})[label] = np.mean(each, axis=0)
    return found


def kept_per_pixel(network: nn.Module, image: Tensor) -> Array | None:
    """Count the connections of the first layer that leave each pixel, summed over channels.

    With weights of 0 and 1, the sum of the layer's outputs has that number as its gradient, whatever the
    layer's stride, padding or flattening is.

    Args:
        network: A finished network. Its first layer is the linear or convolution layer that is called first.
        image: An example image, (1, channels, height, width).

    Returns:
        An array (height, width); None if they cannot be counted, as behind a norm that turns signs.

    Example:
        >>> layer = nn.Linear(4, 2)
        >>> _ = layer.weight.data.copy_(torch.tensor([[0.5, 0, 0, 0], [-1, 0, 0, 2]]))
        >>> kept_per_pixel(nn.Sequential(nn.Flatten(), layer), torch.zeros(1, 1, 2, 2)).tolist()
        [[2.0, 0.0], [0.0, 1.0]]
    """
    network = copy.deepcopy(network).eval()
    called: list[tuple[nn.Module, Tensor]] = []
    for layer in prunable(network).values():
        weight = layer.get_parameter("weight").data
        weight.copy_((weight != 0).float())
        layer.register_forward_hook(lambda layer, _, output: called.append((layer, output.sum())))
    try:
        with torch.enable_grad():
            pixels = image.clone().requires_grad_()
            network(pixels.clone())  # which it may change in place
            sums = [total for layer, total in called if layer is called[0][0]]
            (counts,) = torch.autograd.grad(torch.stack(sums).sum(), pixels)
    except Exception:  # a network of a plug-in may raise anything, and a picture is worth no run
        return None
    kept: Array = counts[0].sum(dim=0).round().numpy()
    return kept if (np.isfinite(kept) & (kept >= 0)).all() else None


def _stored_network(ledger: Ledger, trial_id: str, config: object) -> tuple[nn.Module, Tensor] | None:
    """Return the network of a trial and an image for it; None if it is not stored or cannot be built here."""
    if not isinstance(config, str) or not ledger.networks.has(trial_id):
        return None
    try:
        trial = config_of(config)
        facts = trial.dataset.facts()
        with torch.random.fork_rng(devices=[]):
            network = trial.network.build(facts.shape, facts.classes)
    except Exception:  # data may be missing, and a plug-in's network may raise anything
        return None
    state = ledger.networks.load(trial_id, network.state_dict())
    if state is None:
        return None
    network.load_state_dict(state)
    return network, torch.zeros(1, *facts.shape)
