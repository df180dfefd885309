"""Artificial images of any shape, for tests and dry runs."""

from pathlib import Path
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field

from switchbench.datasets.data import Data, Images
from switchbench.datasets.registry import register

Side = Annotated[int, Field(ge=1)]


class FakeConfig(BaseModel):
    """Options of the fake data set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shape: tuple[Side, Side, Side] = Field((1, 28, 28), description="channels, height, width")
    classes: int = Field(10, ge=2, description="number of classes")
    train: int = Field(1_000, ge=2, description="number of training images")
    test: int = Field(200, ge=1, description="number of test images")
    seed: int = Field(0, ge=0, description="seed of the images; not the trial's seed")


@register("fake", config=FakeConfig)
def fake(folder: Path, config: FakeConfig) -> Data:
    """Noise around one random picture per class, of any shape: made from a seed, easy to learn."""
    generator = torch.Generator().manual_seed(config.seed)
    pictures = torch.randint(0, 256, (config.classes, *config.shape), generator=generator).float()

    def draw(count: int) -> Images:
        labels = torch.randint(0, config.classes, (count,), generator=generator)
        noise = torch.randn((count, *config.shape), generator=generator)
        return Images((pictures[labels] + 64 * noise).clamp_(0, 255).to(torch.uint8), labels)

    return Data(draw(config.train), draw(config.test), config.classes)
