"""Masks: exact selections of connections.

A mask is a 0/1 tensor of the weight's shape and dtype. Scores and masks are dicts by layer
name. Higher scores are kept.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from switchbench.methods.parts.devices import int_if_known, move
from switchbench.methods.parts.scores import random_scores

Tensors = dict[str, Tensor]
Count = int | Tensor
"""A number of entries: an int, or a scalar that a GPU computes."""
CPU = torch.device("cpu")


def keep_top(scores: Tensors, keep: int | Mapping[str, Count]) -> Tensors:
    """Keep exactly the highest scores. Ties are broken at random (:func:`tie_breaker`), never kept in excess.

    Args:
        scores: Scores by layer name, of any shapes.
        keep: Number of entries to keep: one number ranks all layers together, a number per layer
            ranks each layer alone.

    Returns:
        0/1 masks of the scores' shapes and dtype.

    Raises:
        ValueError: More entries are to be kept than there are, or a score on the CPU is NaN. On a GPU, whose
            scores are not looked at, NaN counts as the highest score.

    >>> keep_top({"a": torch.tensor([1.0, 9.0]), "b": torch.tensor([8.0, 2.0])}, 2)
    {'a': tensor([0., 1.]), 'b': tensor([1., 0.])}
    """
    if isinstance(keep, Mapping):
        return {
            name: _top(score.flatten(), keep[name], name).view_as(score) for name, score in scores.items()
        }
    return split(_top(flat(scores), keep), scores)


def random_masks(
    like: Mapping[str, Tensor], keep: Mapping[str, Count], generator: torch.Generator
) -> Tensors:
    """Keep entries of each layer that are drawn without replacement.

    Args:
        like: Tensors by layer name, for their shapes, dtype and device.
        keep: Number of entries to keep in each layer.
        generator: Source of random numbers.
    """
    masks = keep_top(random_scores(like, generator), keep)
    return {name: mask.to(like[name].dtype) for name, mask in masks.items()}


def exchanged(
    masks: Mapping[str, Tensor], scores: Mapping[str, Tensor], growth: Mapping[str, Tensor], share: float
) -> Tensors:
    """Return masks of the same sizes, in which the connections that score least have given way to others.

    Args:
        masks: 0/1 masks by layer name.
        scores: Scores of the connections that are on.
        growth: Scores of those that may take their places: all that are off, or are dropped.
        share: Share of each layer's connections that is dropped, rounded down.
    """
    new = {}
    for name, kept in counts(masks).items():
        part = share * kept
        dropped = part.int() if isinstance(part, Tensor) else int(part)  # a tensor: a GPU counts them
        present = scores[name].masked_fill(~masks[name].bool(), -torch.inf)
        stays = keep_top({name: present}, {name: kept - dropped})[name]
        free = growth[name].masked_fill(stays.bool(), -torch.inf)
        new[name] = stays + keep_top({name: free}, {name: dropped})[name]
    return new


def mask_gradients(weights: Mapping[str, nn.Parameter], masks: Mapping[str, Tensor]) -> None:
    """Set gradients to zero where masks are zero, so that they leave no trace in an optimiser's memory."""
    for name, mask in masks.items():
        gradient = weights[name].grad
        if gradient is not None:
            gradient.mul_(mask)


def counts(masks: Mapping[str, Tensor]) -> dict[str, Count]:
    """Return the number of connections that each mask keeps."""
    return {name: nonzeros(mask) for name, mask in masks.items()}


def nonzeros(tensor: Tensor) -> Count:
    """Count the entries that are not zero.

    Of booleans: where zeros are scattered, torch counts numbers ten times more slowly.

    >>> nonzeros(torch.tensor([[0.0, -2.0], [0.5, 0.0]]))
    2
    """
    return int_if_known(tensor.bool().count_nonzero())


def flat(tensors: Mapping[str, Tensor]) -> Tensor:
    """Concatenate all entries of all layers in one vector."""
    return torch.cat([tensor.flatten() for tensor in tensors.values()])


def split(vector: Tensor, like: Mapping[str, Tensor]) -> Tensors:
    """Undo :func:`flat`."""
    parts = vector.split([tensor.numel() for tensor in like.values()])
    return {name: part.view_as(tensor) for (name, tensor), part in zip(like.items(), parts, strict=True)}


def tie_breaker(*choice: str | int, device: torch.device = CPU) -> torch.Generator:
    """Return a generator that chooses among equal scores.

    Its seed follows from that of torch's default generator, which a trial seeds for its method and its
    training. It draws nothing from that one: what has no ties is not changed. Nor does it have a state that a
    checkpoint would have to hold: the same choice, made again, has the same result.

    Args:
        choice: What tells one choice from others, such as the name of a layer and sizes.
        device: Device of the scores. A GPU draws other numbers than a CPU.
    """
    text = " ".join(map(str, (torch.initial_seed(), *choice)))
    digest = hashlib.sha256(text.encode()).digest()
    generator = torch.Generator(device if device.type == "cuda" else CPU)
    return generator.manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def ranking(scores: Tensor, layer: str = "") -> Tensor:
    """Return the positions of scores (n,) from high to low; equal scores are in random order.

    Args:
        scores: The scores.
        layer: Name of their layer, so that layers of one size differ; empty: scores of several layers.

    Raises:
        ValueError: The scores have no values (PyTorch's device ``meta``).

    >>> ranking(torch.tensor([1.0, 3.0, 2.0]))
    tensor([1, 2, 0])
    """
    if scores.is_meta:
        raise ValueError("scores without values: no order follows from them")
    generator = tie_breaker(layer, len(scores), device=scores.device)
    shuffled = torch.randperm(len(scores), generator=generator, device=generator.device)
    shuffled = move(shuffled, scores.device)
    return shuffled[scores[shuffled].argsort(descending=True, stable=True)]


def first(order: Tensor, number: Count) -> Tensor:
    """Return 1 at the first ``number`` positions of an order (n,), and 0 at the others, as float32.

    >>> first(torch.tensor([2, 0, 1]), 2)
    tensor([1., 0., 1.])
    """
    chosen = torch.arange(len(order), device=order.device) < number
    return torch.zeros(len(order), device=order.device).index_copy_(0, order, chosen.float())


def _some(positions: Tensor, number: int, layer: str) -> Tensor:
    """Return so many of the positions in a layer, drawn at random unless all are wanted."""
    if number == len(positions):
        return positions
    generator = tie_breaker(layer, len(positions), number)
    return positions[torch.randperm(len(positions), generator=generator)[:number]]


def _top(scores: Tensor, keep: Count, layer: str = "") -> Tensor:
    number = scores.numel()
    if isinstance(keep, int) and not 0 <= keep <= number:
        raise ValueError(f"cannot keep {keep} of {number} entries")
    if scores.device.type != "cpu":
        return first(ranking(scores, layer), keep).to(scores.dtype)
    keep = int(keep)
    if keep == 0:
        return torch.zeros_like(scores)
    if scores.max().isnan():
        raise ValueError("scores are not numbers (NaN): no mask follows from them")
    values = scores.numpy()
    bound = _lowest_kept(values, keep)
    above = values > bound
    ties = torch.from_numpy(np.flatnonzero(values == bound))
    above[_some(ties, keep - int(np.count_nonzero(above)), layer).numpy()] = True
    return torch.from_numpy(above.astype(values.dtype))


def _lowest_kept(values: np.ndarray[Any, Any], keep: int) -> Any:
    """Return the lowest of the ``keep`` highest values.

    numpy partitions many times faster than torch sorts, but slowly where many values are equal: mostly the
    lowest, those of what was pruned before, which therefore stay out of it.
    """
    lowest = values.min()
    others = values[values > lowest]
    place = len(others) - keep
    return lowest if place < 0 else np.partition(others, place)[place]
