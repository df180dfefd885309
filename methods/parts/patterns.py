"""Sparsity patterns: which weights are kept together. Values that combine with any score.

A pattern is written as a word: ``unstructured``, ``neuron``, ``2:4`` (N:M) or ``block 4x4``
(outputs × inputs). :func:`parse` reads it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from switchbench.errors import nearest_of
from switchbench.methods.parts import distributions
from switchbench.methods.parts.devices import move
from switchbench.methods.parts.distributions import Distribution
from switchbench.methods.parts.layers import columns
from switchbench.methods.parts.masks import Tensors, keep_top, ranking, tie_breaker
from switchbench.methods.parts.neurons import select_units
from switchbench.methods.parts.paths import Paths
from switchbench.methods.parts.state import Constant

ALLOWED = "unstructured, neuron, N:M such as 2:4 with N < M, or block ROWSxCOLUMNS such as block 4x4"
"""The notations, for error messages."""
MOST_COMPARED = 16
"""Size of the largest groups whose entries are compared in pairs instead of sorted."""


@dataclass(frozen=True)
class Pattern(Constant):
    """Base of the patterns."""

    unit: ClassVar[Literal["connection", "neuron", "block"]] = "connection"
    """What is kept or pruned as a whole."""
    distribution: Distribution = "global"
    """How density spreads over layers, in patterns that leave it open."""

    @property
    def density(self) -> float | None:
        """The density that follows from the pattern itself, None if any density can be met."""
        return None

    def attached(self, network: nn.Module, images: Tensor) -> "Pattern":
        """Return the pattern for a network to which nothing is attached yet."""
        return self

    def select(self, scores: Tensors, weights: Mapping[str, Tensor], density: float) -> Tensors:
        """Keep what scores highest at a density.

        Args:
            scores: A score per connection by layer name, −∞ where it must stay pruned.
            weights: Weights by layer name, for their shapes.
            density: Share of all connections to keep, in (0, 1].

        Returns:
            0/1 masks of the weights' shapes.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Unstructured(Pattern):
    """Single connections. The density is met exactly.

    >>> scores = {"layer": torch.tensor([[4.0, 1.0], [2.0, 3.0]])}
    >>> Unstructured().select(scores, scores, density=0.5)
    {'layer': tensor([[1., 0.],
            [0., 1.]])}
    """

    def select(self, scores: Tensors, weights: Mapping[str, Tensor], density: float) -> Tensors:
        return keep_top(scores, distributions.distribute(weights, density, self.distribution))


@dataclass(frozen=True)
class Neurons(Pattern):
    """Whole units: all weights that read an input or a neuron. The density is not exceeded.

    A unit's score is the mean over its connections that are left, or what ``scores`` says if it
    has one value per unit. Units of all layers are ranked together (:func:`select_units`).
    """

    unit = "neuron"
    paths: Paths | None = None
    """Paths of the network, along which connections that lead nowhere are removed."""

    def attached(self, network: nn.Module, images: Tensor) -> "Neurons":
        return replace(self, paths=Paths(network, images).looked_at())

    def select(self, scores: Tensors, weights: Mapping[str, Tensor], density: float) -> Tensors:
        units = {name: s if s.dim() == 1 else _mean_left(columns(s)) for name, s in scores.items()}
        masks = select_units(units, weights, density, self.paths)
        of_connections = {name: score for name, score in scores.items() if score.dim() > 1}
        return masks | {name: _left(masks[name], score) for name, score in of_connections.items()}


@dataclass(frozen=True)
class NM(Pattern):
    """N:M sparsity: at most ``n`` of every ``m`` weights that lie along the inputs of an output unit.

    The groups of a convolution lie along its input channels, at each kernel position alone. A last
    group of fewer than ``m`` weights keeps up to ``n``. The density follows from N and M; at a
    higher one, on the way down, the nearest whole number of weights is kept in each group.

    >>> scores = {"layer": torch.tensor([[4.0, 1.0, 2.0, 3.0, 9.0]])}
    >>> NM(n=2, m=4).select(scores, scores, density=0.5)
    {'layer': tensor([[1., 0., 0., 1., 1.]])}
    """

    n: int = 2
    m: int = 4

    @property
    def density(self) -> float:
        return self.n / self.m

    def select(self, scores: Tensors, weights: Mapping[str, Tensor], density: float) -> Tensors:
        keep = max(self.n, round(density * self.m))
        return {name: self._mask(score, keep, name) for name, score in scores.items()}

    def _mask(self, score: Tensor, keep: int, layer: str) -> Tensor:
        last = score.movedim(1, -1)
        inputs = last.shape[-1]
        groups = F.pad(last, (0, -inputs % self.m), value=-torch.inf).unflatten(-1, (-1, self.m))
        return _highest(groups, keep, layer).flatten(-2)[..., :inputs].movedim(-1, 1)


@dataclass(frozen=True)
class Block(Pattern):
    """Whole blocks of ``rows`` outputs × ``columns`` inputs. The density is not exceeded.

    A block of a convolution holds the whole kernels of its channels. Blocks at the edges may be
    smaller. A block's score is the mean over its connections that are left. The highest are kept as
    long as they fit into the budget, so that less than a block of it stays unused. One block is kept
    whatever the budget (one of each layer unless layers are ranked together).

    >>> scores = {"layer": torch.tensor([[1.0, 1.0, 5.0, 5.0], [1.0, 1.0, 5.0, 6.0]])}
    >>> Block(rows=2, columns=2).select(scores, scores, density=0.7)
    {'layer': tensor([[0., 0., 1., 1.],
            [0., 0., 1., 1.]])}
    """

    unit = "block"
    rows: int = 4
    columns: int = 4

    def select(self, scores: Tensors, weights: Mapping[str, Tensor], density: float) -> Tensors:
        keep = distributions.distribute(weights, density, self.distribution)
        blocks = {name: self._cut(score) for name, score in scores.items()}
        worth = {name: _mean_left(block).flatten() for name, block in blocks.items()}
        whole = {name: self._cut(torch.ones_like(score)) for name, score in scores.items()}
        sizes = {name: (block > -torch.inf).sum(-1).flatten() for name, block in whole.items()}
        if isinstance(keep, int):
            chosen = _fitting(torch.cat([*worth.values()]), torch.cat([*sizes.values()]), keep)
            parts = dict(zip(worth, chosen.split([len(score) for score in worth.values()]), strict=True))
        else:
            parts = {name: _fitting(worth[name], sizes[name], keep[name], name) for name in worth}
        largest = max(block.shape[-1] for block in blocks.values())
        surely = largest <= (keep if isinstance(keep, int) else max(keep.values()))  # the best block fits
        if not surely and not any(part.any() for part in parts.values()):
            best = max(worth, key=lambda name: worth[name].max())
            parts[best][ranking(worth[best], best)[0]] = 1
        return {name: _left(self._expand(parts[name], score), score) for name, score in scores.items()}

    def _cut(self, score: Tensor) -> Tensor:
        """View scores as (block rows, block columns, entries of a block), padded with −∞."""
        flat = score.flatten(2) if score.dim() > 2 else score.unsqueeze(2)
        bottom, right = -flat.shape[0] % self.rows, -flat.shape[1] % self.columns
        padded = F.pad(flat, (0, 0, 0, right, 0, bottom), value=-torch.inf)
        blocks: Tensor = padded.unflatten(1, (-1, self.columns)).unflatten(0, (-1, self.rows))
        return blocks.transpose(1, 2).flatten(2)

    def _expand(self, chosen: Tensor, like: Tensor) -> Tensor:
        """Spread 0/1 for each block over the connections of a layer."""
        across = -(-like.shape[1] // self.columns)
        grid = chosen.view(-1, across).repeat_interleave(self.rows, 0).repeat_interleave(self.columns, 1)
        grid = grid[: like.shape[0], : like.shape[1]]
        return grid.reshape(*grid.shape, *(1,) * (like.dim() - 2)).expand_as(like)


def parse(text: str, distribution: Distribution = "global") -> Pattern:
    """Read a pattern in its notation.

    Args:
        text: The notation, see :data:`ALLOWED`.
        distribution: How density spreads over layers, for single connections and blocks.

    Raises:
        ValueError: The text is no pattern, or a distribution has no effect with it.

    >>> parse("2:4")
    NM(distribution='global', n=2, m=4)
    >>> parse("half")
    Traceback (most recent call last):
        ...
    ValueError: 'half' is no pattern: use unstructured, neuron, N:M such as 2:4 with N < M, or block \
ROWSxCOLUMNS such as block 4x4
    """
    if text == "unstructured":
        return Unstructured(distribution)
    if found := re.fullmatch(r"block ([1-9]\d*)x([1-9]\d*)", text):
        return Block(distribution, *map(int, found.groups()))
    found = re.fullmatch(r"([1-9]\d*):([1-9]\d*)", text)
    if text != "neuron" and not (found and int(found[1]) < int(found[2])):
        nearest = nearest_of(text, ["unstructured", "neuron", "block 4x4"])
        hint = f"; did you mean {nearest!r}?" if nearest else ":"
        raise ValueError(f"{text!r} is no pattern{hint} use {ALLOWED}")
    if distribution != "global":
        raise ValueError(f"distribution {distribution!r} has no effect with pattern {text!r}")
    return NM(distribution, *map(int, found.groups())) if found else Neurons()


def _left(mask: Tensor, score: Tensor) -> Tensor:
    """Switch off in a mask what must stay pruned."""
    return mask * (score > -torch.inf)


def _highest(groups: Tensor, keep: int, layer: str) -> Tensor:
    """Return 0/1 masks of the highest entries of the last dimension.

    Ties are broken at random. −∞ is never kept.
    """
    # a GPU would have to be waited for, to learn that there are no ties
    if groups.device.type == "cpu" and groups.shape[-1] <= MOST_COMPARED:
        mask = _left(_number_above(groups).lt_(keep), groups)
        if not (mask.sum(-1) > keep).any():
            return mask
    generator = tie_breaker(layer, groups.numel(), keep, device=groups.device)
    drawn = torch.rand(groups.shape, generator=generator, device=generator.device)
    shuffled = move(drawn, groups.device).argsort(-1)
    order = groups.gather(-1, shuffled).argsort(dim=-1, descending=True, stable=True)[..., :keep]
    return _left(torch.zeros_like(groups).scatter_(-1, shuffled.gather(-1, order), 1), groups)


def _number_above(groups: Tensor) -> Tensor:
    """Return, for each entry, how many of the last dimension are higher.

    Comparing all pairs takes less time than ``topk``, which sorts each small group by itself.
    """
    entries = [entry.contiguous() for entry in groups.unbind(-1)]
    above = groups.new_zeros(len(entries), *groups.shape[:-1])
    for number, entry in zip(above, entries, strict=True):
        for other in entries:
            if other is not entry:
                number.add_(torch.gt(other, entry, out=torch.empty_like(entry)))
    return above.movedim(0, -1)


def _mean_left(groups: Tensor) -> Tensor:
    """Return the mean of the last dimension over entries above −∞, −∞ if there is none."""
    left = groups > -torch.inf
    count = left.sum(-1)
    total = groups.masked_fill(~left, 0).sum(-1)
    return (total / count.clamp_min(1)).masked_fill(count == 0, -torch.inf)


def _fitting(worth: Tensor, sizes: Tensor, budget: int, layer: str = "") -> Tensor:
    """Choose the blocks of the highest worth that fit into a budget of connections."""
    order = ranking(worth, layer)
    fits = sizes[order].cumsum(0) <= budget
    return torch.zeros_like(worth).index_copy_(0, order, fits.to(worth.dtype))
