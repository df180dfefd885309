"""A neural functional network as a reader: it sees the weights of all layers, whatever the order of neurons.

Zhou et al. 2023, *Permutation Equivariant Neural Functionals* (arXiv 2302.14040), who also let such a network
choose masks. What is decided here:

- All neurons permute, those of the input and the output included (the paper's NP). The paper's HNP, which
  permutes hidden neurons alone, has parameters for each pair of inputs, of which MNIST has 784².
- Biases of the task network are neither read nor switched.
- The positions of a kernel, which are channels in the paper, are several connections between two neurons. So
  are the pixels of a flattened channel. The size of the reader depends on the number of layers alone.
"""

import itertools
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from switchbench.methods.switchers.chain import CHANNELS, incoming, outgoing

DEPTH = 3
"""Number of NF-layers."""


class FunctionalReader(nn.Module):
    """Reads a chain of layers and scores every connection: NF-layers with ReLU between them.

    Permuting neurons permutes the scores.
    """

    def __init__(self, layers: int, hidden: int, silent: bool = True, depth: int = DEPTH) -> None:
        """``layers``: number of layers that are read; ``silent``: the output starts at zero."""
        super().__init__()
        widths = [CHANNELS, *[hidden] * (depth - 1), 1]
        self.maps = nn.ModuleList(NFLayer(layers, *pair) for pair in itertools.pairwise(widths))
        if silent:
            with torch.no_grad():
                for parameter in self.maps[-1].parameters():
                    parameter.zero_()

    def forward(self, connections: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a score for each connection, (outputs, neurons, connections of the two), by layer name.

        ``connections``: :func:`chain.connections` by layer name, in the order of the chain.
        """
        first, *others = self.maps
        entries = first([*connections.values()])
        for layer in others:
            entries = layer([entry.relu() for entry in entries])
        return {name: entry[..., 0] for name, entry in zip(connections, entries, strict=True)}


class NFLayer(nn.Module):
    """The linear map of all layers' entries that commutes with permutations of neurons, with means for sums.

    An entry of a layer becomes a sum of maps of: the entry; the means of all layers; the means over the
    connections that enter its output neuron, and that leave it in the next layer; and those over the
    connections that leave its input neuron, and that enter it in the layer before. Each layer has maps of
    its own.
    """

    def __init__(self, layers: int, inputs: int, outputs: int) -> None:
        """``inputs`` and ``outputs``: channels of an entry."""
        super().__init__()
        after = [1] * (layers - 1) + [0]
        self.entry = _maps([inputs] * layers, outputs)
        self.row = _maps([inputs * (1 + more) for more in after], outputs)
        self.column = _maps([inputs * (1 + more) for more in reversed(after)], outputs)
        self.whole = nn.Linear(layers * inputs, layers * outputs)

    def forward(self, entries: list[Tensor]) -> list[Tensor]:
        """Map (outputs, neurons, connections, channels) of each layer to other channels."""
        rows, columns = [incoming(entry) for entry in entries], [outgoing(entry) for entry in entries]
        whole = self.whole(torch.cat([row.mean(0) for row in rows])).view(len(entries), -1)
        mapped = []
        for index, entry in enumerate(entries):
            around_output = torch.cat([rows[index], *columns[index + 1 : index + 2]], dim=1)
            around_input = torch.cat([columns[index], *rows[max(index - 1, 0) : index]], dim=1)
            row = self.row[index](around_output) + whole[index]
            column = self.column[index](around_input)
            mapped.append(self.entry[index](entry) + row[:, None, None] + column[:, None])
        return mapped


def _maps(inputs: list[int], outputs: int) -> nn.ModuleList:
    """Return a linear map for each layer, without a bias."""
    return nn.ModuleList(nn.Linear(size, outputs, bias=False) for size in inputs)
