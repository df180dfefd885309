"""Evaluation is exact, whatever the size of the split."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from switchbench.datasets import Images, Split
from switchbench.measure.evaluation import CHUNK, evaluate


def split(n: int) -> Split:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, 1, 4, 4), generator=draw, dtype=torch.uint8)
    labels = torch.randint(0, 10, (n,), generator=draw)
    return Split(Images(images, labels), None, torch.tensor(100.0), torch.tensor(50.0))


@pytest.mark.parametrize("n", [1, 7, CHUNK, CHUNK + 1, 2 * CHUNK + 345])
def test_ragged_last_chunk_counts_right(n: int) -> None:
    torch.manual_seed(0)
    network, data = nn.Sequential(nn.Flatten(), nn.Linear(16, 10)), split(n)
    images, labels = data.batch(slice(None))
    logits = network(images)
    metrics = evaluate(network, data)
    assert metrics.accuracy == (logits.argmax(1) == labels).sum().item() / n
    ranks = (logits > logits.gather(1, labels[:, None])).sum(1)
    assert metrics.top5 == (ranks < 5).sum().item() / n
    assert metrics.loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)


def test_eval_mode_and_no_gradient() -> None:
    linear, norm = nn.Linear(16, 10), nn.BatchNorm1d(10)
    network = nn.Sequential(nn.Flatten(), linear, nn.Dropout(0.9), norm).train()
    first, second = evaluate(network, split(50)), evaluate(network, split(50))
    assert first == second
    assert network.training
    assert linear.weight.grad is None
    assert norm.num_batches_tracked == 0
