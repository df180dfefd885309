"""Exact evaluation: eval mode, no gradient, every example once, sums divided by examples seen."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from switchbench.datasets import Split

CHUNK = 1_000


@dataclass(frozen=True)
class Metrics:
    """Means over all examples of a split; accuracies are shares in [0, 1]."""

    accuracy: float
    top5: float
    loss: float


@torch.no_grad()
def evaluate(network: nn.Module, split: Split) -> Metrics:
    """Accuracy, top-5 accuracy (of fewer classes: all of them) and cross-entropy on a split."""
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
