"""Training recipes by name: settings that are known to work, and settings of papers.

A recipe holds plain values of :class:`switchbench.spec.training.TrainingConfig`. A spec selects it with
``training: NAME``, and changes values with ``training: {recipe: NAME, epochs: 30}``.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """Settings of a training, and their source."""

    description: str
    training: dict[str, Any]


OPTIMIZERS = {
    "sgd": "stochastic gradient descent, with the momentum that is given; weight decay joins the gradient",
    "adam": "Adam (Kingma & Ba 2015); weight decay joins the gradient",
    "adamw": "AdamW (Loshchilov & Hutter 2019): weight decay acts on the weights directly",
}
"""What updates weights, by name."""

RECIPES = {
    "switcher-paper": Recipe(
        "Han et al. 2021 on MNIST: SGD without momentum, 0.1, ÷10 at 50 and 75 of 100 epochs",
        {"epochs": 100, "batch_size": 64, "optimizer": "sgd", "lr": 0.1, "schedule": "step",
         "milestones": [0.5, 0.75]},
    ),
    "mnist": Recipe(
        "small networks on 28×28 images: SGD with momentum, constant, then linear to 0; the best of a "
        "search for magnitude pruning at 1 % (docs/results/science-recipe-sgd)",
        {"epochs": 15, "batch_size": 128, "optimizer": "sgd", "lr": 0.05, "momentum": 0.9,
         "schedule": "linear", "decay": 0.35},
    ),
    "mnist-adam": Recipe(
        "the same with Adam (docs/results/science-recipe-adam)",
        {"epochs": 15, "batch_size": 128, "optimizer": "adam", "lr": 2e-3, "weight_decay": 3.6e-4,
         "schedule": "linear", "decay": 0.3},
    ),
    "lottery-mnist": Recipe(
        "Frankle & Carbin 2019 for LeNet-300-100: Adam 1.2e-3, batches of 60, 50,000 iterations",
        {"steps": 50_000, "batch_size": 60, "optimizer": "adam", "lr": 1.2e-3, "schedule": "constant"},
    ),
    "cifar": Recipe(
        "ResNets and VGG with batch norm on 32×32 images: SGD, momentum 0.9, cosine, 200 epochs",
        {"epochs": 200, "batch_size": 128, "optimizer": "sgd", "lr": 0.1, "momentum": 0.9,
         "weight_decay": 5e-4, "schedule": "cosine"},
    ),
    "cifar-resnet-paper": Recipe(
        "He et al. 2015 on CIFAR-10: SGD, momentum 0.9, 0.1, ÷10 at 1/2 and 3/4 of 64,000 iterations",
        {"steps": 64_000, "batch_size": 128, "optimizer": "sgd", "lr": 0.1, "momentum": 0.9,
         "weight_decay": 1e-4, "schedule": "step", "milestones": [0.5, 0.75]},
    ),
    "cifar-short": Recipe(
        "`cifar` in 30 epochs, for a first look",
        {"epochs": 30, "batch_size": 128, "optimizer": "sgd", "lr": 0.1, "momentum": 0.9,
         "weight_decay": 5e-4, "schedule": "cosine"},
    ),
}  # fmt: skip
"""All recipes by name."""
