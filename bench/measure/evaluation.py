"""Exact evaluation: eval mode, no gradients, every example once, sums divided by the number of examples."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from switchbench.datasets import Split

CHUNK = 1_000
"""Images in one forward pass."""


@dataclass(frozen=True)
class Metrics:
    """Means over all examples of a split."""

    accuracy: float
    """Share of correct predictions, in [0, 1]."""
    top5: float
    """Share of examples whose class has one of the five largest logits, in [0, 1]; 1 with fewer classes."""
    loss: float
    """Cross-entropy in nats."""


@torch.no_grad()
def evaluate(network: nn.Module, split: Split) -> Metrics:
    """Evaluate a network on a split.

    Args:
        network: A network on the split's device. It runs in eval mode and returns to its mode.
        split: Images and labels; at least one.

    Returns:
        Accuracy, top-5 accuracy and loss.
    """
    training = network.training
    network.eval()
    correct = torch.zeros((), dtype=torch.int64, device=split.device)
    among5 = torch.zeros_like(correct)
    loss = torch.zeros((), dtype=torch.float64, device=split.device)
    for start in range(0, len(split), CHUNK):
        images, labels = split.batch(slice(start, start + CHUNK))
        logits = network(images)
        loss += F.cross_entropy(logits, labels, reduction="sum")
        top = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
        correct += (logits.argmax(1) == labels).sum()
        among5 += top.any(1).sum()
    network.train(training)
    n = len(split)
    return Metrics(correct.item() / n, among5.item() / n, loss.item() / n)
