"""A graph metanetwork as a reader: messages run between neurons along connections.

Lim et al. 2023, *Graph Metanetworks for Processing Diverse Neural Architectures* (arXiv 2312.04501). Liu et
al. 2025, *Meta Pruning via Graph Metanetworks* (arXiv 2506.12041), prune with such a network. What is
decided here:

- Nodes are neurons, edges are connections. There are no nodes for biases and norms. The positions of a
  kernel and the pixels of a flattened channel are parallel edges.
- The graph of a chain is dense between two layers: tensors (outputs, neurons, connections) hold all edges.
- An MLP's first map of an edge and its two nodes is a sum of three maps. Those of nodes are computed once for
  each node, and broadcast.
- Liu et al. train the metanetwork on several networks, and let it change their weights; here it learns from
  one, and gives logits of gates.
"""

import itertools
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from switchbench.methods.switchers.chain import CHANNELS, incoming, outgoing

ROUNDS = 2
"""Number of rounds of messages."""
FEATURES = 3
"""What the reader knows of a node: its place between input (0) and output (1), and the mean sizes of the
weights of its incoming and of its outgoing connections."""


class GraphReader(nn.Module):
    """Reads a chain of layers and scores every connection, by messages; one set of MLPs for all layers.

    In each round an edge becomes an MLP of itself and its two nodes, then a node an MLP of itself and the
    means of its incoming and outgoing edges. The edges of the last round are the scores. Permuting neurons
    permutes the scores, and the reader's size depends on no layer.
    """

    def __init__(self, hidden: int, silent: bool = True, rounds: int = ROUNDS) -> None:
        """``silent``: the output starts at zero."""
        super().__init__()
        edge, node = CHANNELS, FEATURES
        self.edges, self.nodes = nn.ModuleList(), nn.ModuleList()
        for _ in range(rounds - 1):
            self.edges.append(SumMLP((edge, node, node), hidden, hidden))
            self.nodes.append(SumMLP((node, hidden, hidden), hidden, hidden))
            edge = node = hidden
        final = SumMLP((edge, node, node), hidden, 1)
        self.edges.append(final)
        if silent:
            with torch.no_grad():
                for parameter in final.last.parameters():
                    parameter.zero_()

    def forward(self, connections: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a score for each connection, (outputs, neurons, connections of the two), by layer name.

        ``connections``: :func:`chain.connections` by layer name, in the order of the chain.
        """
        edges = [*connections.values()]
        nodes = features(edges)
        for number, update in enumerate(self.edges):
            ends = itertools.pairwise(nodes)
            edges = [
                update(edge, source[:, None], target[:, None, None])
                for edge, (source, target) in zip(edges, ends, strict=True)
            ]
            if number < len(self.nodes):
                update_node = self.nodes[number]
                nodes = [update_node(*parts) for parts in zip(nodes, *_around(edges), strict=True)]
        return {name: edge[..., 0] for name, edge in zip(connections, edges, strict=True)}


class SumMLP(nn.Module):
    """An MLP with one hidden layer (GELU), whose first map is the sum of a map of each of its inputs."""

    def __init__(self, inputs: tuple[int, int, int], hidden: int, outputs: int) -> None:
        super().__init__()
        one, *others = inputs
        linear = [nn.Linear(one, hidden), *(nn.Linear(size, hidden, bias=False) for size in others)]
        self.first = nn.ModuleList(linear)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, *parts: Tensor) -> Tensor:
        """Map parts, whose shapes broadcast but for the last dimension."""
        one, two, three = (each(part) for each, part in zip(self.first, parts, strict=True))
        mapped: Tensor = self.last(F.gelu(one + (two + three)))
        return mapped


def features(edges: list[Tensor]) -> list[Tensor]:
    """Return features of nodes, (nodes, FEATURES): of the network's inputs, then of each layer's outputs."""
    sizes = zip(*_around([edge[..., :1].abs() for edge in edges]), strict=True)
    return [
        torch.cat([torch.full_like(entering, place / len(edges)), entering, leaving], dim=1)
        for place, (entering, leaving) in enumerate(sizes)
    ]


def _around(edges: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Return the means over the incoming and over the outgoing edges of all nodes, zeros where none are."""
    entering, leaving = [incoming(edge) for edge in edges], [outgoing(edge) for edge in edges]
    return [torch.zeros_like(leaving[0]), *entering], [*leaving, torch.zeros_like(entering[-1])]
