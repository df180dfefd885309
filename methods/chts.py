"""CHTs: dynamic sparse training in which connections grow where the topology of a layer predicts them."""

import torch
from torch import Tensor

from switchbench.methods.contract import Progress, register
from switchbench.methods.dynamic import SET
from switchbench.methods.options import defaults, option
from switchbench.methods.parts.devices import move
from switchbench.methods.parts.masks import Tensors, keep_top

BLOCK = 1 << 24
"""Most pairs of nodes on one side of a layer that are compared at a time."""


@register("chts")
class CHTs(SET):
    """Cannistraci-Hebb training, soft rule: like SET, but drop by chance, and grow predicted links by chance.

    Zhang et al. 2025, *Brain network science modelling of sparse neural networks enables Transformers and
    LLMs to perform as fully connected*: at a move the connections that stay are drawn without replacement, by
    the sizes of their weights (:func:`removal_scores`), more and more sharply. As many grow, drawn in
    proportion to how well the graph of a layer's inputs and outputs predicts them (:func:`link_scores`). No
    gradient is looked at. What grows has the value that it had when it was dropped, and what was never on its
    initial value. Inputs of a convolution are its channels times the places of its kernel.

    Different from the paper: the first mask is SET's (there inputs are correlated, or near places connected);
    connections of a neuron that has none on its other side stay; the density is constant (CHTs, not CHTss).
    A node's inner links count with one added, as its outer links do; the authors' code adds it to the outer
    ones alone.

    Defaults: the paper's, with moves every 100 steps as in its Transformers.
    """

    version = 1  # versioned apart from SET: check on each bump of SET whether this needs one

    @defaults(every=100, fraction=0.3, end=0.75)
    class Config(SET.Config):
        magnitude: float = option(
            1.0,
            "what weights are drawn by: 1 their size, 0 their share of all weights of their input and output",
            search=(0.0, 1.0),
            ge=0,
            le=1,
        )
        begin_sharpness: float = option(
            0.5,
            "sharpness of dropping at first: 0 at random, 0.5 in proportion, 1 the smallest go",
            search=(0.1, 0.8),
            ge=0,
            le=1,
        )
        end_sharpness: float = option(
            0.9, "sharpness of dropping at last; linear in between", search=(0.1, 0.95), ge=0, le=1
        )
        growth_sharpness: float = option(
            0.5,
            "sharpness of growth: 0 at random, 0.5 in proportion, 1 the highest scores grow",
            search=(0.1, 0.9),
            ge=0,
            le=1,
        )

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        super().setup(batch)
        self.sharpness: float = self.config.begin_sharpness

    def growth(self) -> Tensors:
        """Return no scores: they follow from what is left after dropping."""
        return {}

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        if self._moves(progress):
            begin, end = self.config.begin_sharpness, self.config.end_sharpness
            self.sharpness = begin + (end - begin) * progress.fraction / self.config.end
            for name, value in self.initial.items():  # what is dropped grows again from where it was
                self.initial[name] = torch.where(self.masks[name].bool(), self.weights[name], value)
        super().after_step(progress)

    def _moved(self, growth: Tensors, share: float) -> Tensors:
        moved = {}
        sizes = self.layer_budgets
        for name, weight in self.weights.items():
            mask, size = self.masks[name].flatten(1), sizes[name]
            number = int(share * size)
            worth = removal_scores(weight.detach().flatten(1), self.config.magnitude)
            keys = draw(worth, mask != 0, self.sharpness, self.generator)
            kept = keep_top({name: keys}, {name: size - number})[name]
            keys = draw(link_scores(kept), kept == 0, self.config.growth_sharpness, self.generator)
            grown = keep_top({name: keys}, {name: number})[name]
            moved[name] = (kept + grown).view_as(weight)
        return moved


def removal_scores(weight: Tensor, magnitude: float) -> Tensor:
    """Score connections by |w| / (m + (1 − m) Σ |w|), with the sums of their rows plus with those of columns.

    Args:
        weight: (outputs, inputs), zero where connections are off.
        magnitude: m. With 1 the scores are 2 |w|, with 0 relative importance (Zhang et al. 2024,
            *Plug-and-play: an efficient post-training pruning method for large language models*). The
            paper's experiments use these two alone.

    >>> removal_scores(torch.tensor([[1.0, -3.0], [0.0, 2.0]]), 0.0)
    tensor([[1.2500, 1.3500],
            [0.0000, 1.4000]])
    """
    size = weight.abs()
    least = torch.finfo(size.dtype).tiny  # of a node without weights
    rows, columns = (
        magnitude + (1 - magnitude) * size.sum(side, keepdim=True).clamp_min(least) for side in (1, 0)
    )
    return size / rows + size / columns


def link_scores(mask: Tensor) -> Tensor:
    """Score how well a bipartite graph predicts each link that it lacks: CH2-L3n, by products of matrices.

    An output and an input have the score Σ (1 + i) / (1 + e) over the nodes between them on paths of three
    links. Such a node has i links to others of these nodes, and e links to nodes that are neither of these
    nor of the pair. Pairs that are linked have scores without a meaning.

    Args:
        mask: 0/1, (outputs, inputs).

    >>> link_scores(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))[0, 1]  # 2 / 1 for each of two nodes between
    tensor(4.)
    """
    return _scores_by_rows(mask) + _scores_by_rows(mask.T).T


def _scores_by_rows(links: Tensor) -> Tensor:
    """Return the part of :func:`link_scores` of nodes that are rows; the pair is a row and a column."""
    degrees = links.sum(1)
    parts = []
    for rows in links.split(max(1, BLOCK // len(links))):
        inner = rows @ links.T
        # of a node's links that are not inner, one leads to the pair and the others are outer
        worth = (inner + (inner > 0)) / (degrees - inner).clamp_min(1)
        parts.append(worth @ links)
    return torch.cat(parts)


def draw(scores: Tensor, allowed: Tensor, sharpness: float, generator: torch.Generator) -> Tensor:
    """Return keys: the highest are draws without replacement, in proportion to a power of the scores.

    Logarithms with Gumbel noise are such keys (Kool et al. 2019, *Stochastic Beams and Where to Find Them*).
    The power is s / (1 − s). Scores of zero are drawn last, at random.

    Args:
        scores: Not negative.
        allowed: Where draws may fall; elsewhere keys are −∞.
        sharpness: s. With 0 all have the same chance, with 1 the scores themselves are the keys.
        generator: Source of random numbers.
    """
    if sharpness < 1:
        noise = torch.empty(scores.shape, device=generator.device).exponential_(generator=generator)
        logs = scores.clamp_min(torch.finfo(scores.dtype).tiny).log()
        scores = sharpness / (1 - sharpness) * logs - move(noise, scores.device).log()
    return scores.masked_fill(~allowed, -torch.inf)
