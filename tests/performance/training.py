"""A whole trial against training loops without the suite, and the parts of a trial beside its training: 784-300-100-10 on
Fashion-MNIST, batches of 128, one thread.

*Dense trial / bare loop*: from loaded data to the finished row, over a plain PyTorch loop with the same
network, batches, optimiser (torch's fused Adam), schedule and steps on tensors in memory, and one evaluation
of the same validation and test images. *The loop that users write / magnitude trial*: a DataLoader without
workers, transforms per image, masks by ``torch.nn.utils.prune`` on the same cubic schedule, and Adam as it
comes. Trials, and no other loop, flush denormal numbers. *Evaluation*: of the test images, over a loop that
divides normalised tensors in memory into as large parts and counts the correct ones. *Data set again*: what a
second trial of a process waits for its images and splits.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import prune
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from performance.measurement import Measurement
from performance.timing import ratios, seconds
from performance.trials import BATCH, DENSITY, LR, splits, trial
from switchbench.datasets import Split, Splits
from switchbench.measure.evaluation import CHUNK, evaluate
from switchbench.methods import GradualPruning
from switchbench.methods.parts.pruning_schedules import due

TITLE = "Training"
EPOCHS = 15
USERS_EPOCHS = 4
"""The loop that users write is ten times as slow."""


def measure(pairs: int) -> Iterator[Measurement]:
    """Time the trials and the loops in turn, ``pairs`` times."""
    torch.set_num_threads(1)
    data = splits()
    network = _network(data)
    bare_loop(data, 1)  # warm-up
    trial("dense", 1)
    yield Measurement(
        "dense trial / bare loop",
        ratios(lambda: trial("dense", EPOCHS), lambda: bare_loop(data, EPOCHS), pairs),
        limit="≤ 1.03",
    )
    yield Measurement(
        "the loop that users write / magnitude trial",
        ratios(lambda: users_loop(data, USERS_EPOCHS), lambda: trial("magnitude", USERS_EPOCHS), pairs),
        limit="≥ 3.5",
    )
    images, labels = data.test.batch(slice(None))
    yield Measurement(
        "evaluation / bare evaluation",
        ratios(
            lambda: evaluate(network, data.test), lambda: bare_evaluation(network, images, labels), 10 * pairs
        ),
    )
    yield Measurement("data set again", [1e3 * seconds(splits) for _ in range(pairs)], "ms")


def bare_loop(data: Splits, epochs: int) -> None:
    """Train as a researcher would who has the images as tensors and cares for speed."""
    device = data.train.device
    images, labels = data.train.batch(slice(None))
    network = _network(data).to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=LR, fused=True)
    steps = epochs * math.ceil(len(labels) / BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(epochs):
        for index in torch.randperm(len(labels), device=device).split(BATCH):
            optimiser.zero_grad()
            F.cross_entropy(network(images[index]), labels[index]).backward()
            optimiser.step()
            schedule.step()
    for part in (data.validation, data.test):
        bare_evaluation(network, *part.batch(slice(None)))


@torch.no_grad()
def bare_evaluation(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the accuracy."""
    parts = zip(images.split(CHUNK), labels.split(CHUNK), strict=True)
    return sum(int((network(part).argmax(1) == truth).sum()) for part, truth in parts) / len(labels)


class Images(Dataset[tuple[Tensor, int]]):
    """A split one image at a time, as the usual classes of data sets have it."""

    def __init__(self, split: Split) -> None:
        rows = slice(None) if split.rows is None else split.rows
        self.images, self.labels = split.source.images[rows].numpy(), split.source.labels[rows]
        self.transform = v2.Compose(
            [
                v2.ToPILImage(),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize((split.mean.flatten() / 255).tolist(), (split.std.flatten() / 255).tolist()),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index].transpose(1, 2, 0)), int(self.labels[index])


def users_loop(data: Splits, epochs: int) -> None:
    """Prune by magnitude as tutorials do, at the events and densities of the suite's own default."""
    loader = DataLoader(Images(data.train), BATCH, shuffle=True)
    network = _network(data)
    pruned = [(module, "weight") for module in network if isinstance(module, nn.Linear)]
    optimiser = torch.optim.Adam(network.parameters(), lr=LR)
    steps, step = epochs * len(loader), 0
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    window = GradualPruning.Config().window
    density = 1.0
    for _ in range(epochs):
        for images, labels in loader:
            optimiser.zero_grad()
            F.cross_entropy(network(images), labels).backward()
            optimiser.step()
            schedule.step()
            step += 1
            if due(step, steps, window.begin, window.end, window.updates):
                left, density = density, window.density(step / steps, DENSITY)
                prune.global_unstructured(pruned, prune.L1Unstructured, amount=1 - density / left)
    with torch.no_grad():
        for part in (data.validation, data.test):
            for images, labels in DataLoader(Images(part), CHUNK):
                (network(images).argmax(1) == labels).float().mean().item()


def _network(data: Splits) -> nn.Sequential:
    torch.manual_seed(0)
    width = math.prod(data.input_shape)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(width, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)
    )
