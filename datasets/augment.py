"""Random crops and flips of whole batches of bytes, on their device."""

from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F


class Augmentation(BaseModel):
    """How training images are varied. The default leaves them as they are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    crop: int = Field(
        0, ge=0, description="pixels of black padding on each side, before a crop of the old size"
    )
    flip: bool = Field(False, description="whether images are mirrored, left to right, half of the time")

    def draw(self, count: int, generator: torch.Generator, device: torch.device) -> "Draw | None":
        """What to do with each of ``count`` images; None if that is nothing."""
        if not self.crop and not self.flip:
            return None
        shifts = torch.randint(0, 2 * self.crop + 1, (count, 2), generator=generator)
        flips = torch.rand(count, generator=generator) < 0.5 * self.flip
        return Draw(self.crop, shifts.to(device), flips.to(device))


NO_AUGMENTATION = Augmentation()


@dataclass(frozen=True)
class Draw:
    """What was drawn for some images, in their order."""

    padding: int
    shifts: Tensor
    """Down and right, in pixels of the padded image (n, 2)."""
    flips: Tensor
    """Whether to mirror (n,)."""

    def split(self, size: int) -> "list[Draw]":
        """The draw in pieces, of ``size`` images each but for the last."""
        pieces = zip(self.shifts.split(size), self.flips.split(size), strict=True)
        return [Draw(self.padding, shifts, flips) for shifts, flips in pieces]

    def apply(self, images: Tensor) -> Tensor:
        """Images (n, channels, height, width) cropped and flipped, each in its way."""
        count, channels, height, width = images.shape
        padded = F.pad(images, [self.padding] * 4)
        rows = torch.arange(height, device=images.device) + self.shifts[:, :1]
        columns = torch.arange(width, device=images.device).expand(count, width)
        columns = torch.where(self.flips[:, None], columns.flip(1), columns) + self.shifts[:, 1:]
        wide = width + 2 * self.padding
        places = (rows[:, :, None] * wide + columns[:, None, :]).flatten(1)
        chosen = padded.flatten(2).gather(2, places[:, None].expand(count, channels, height * width))
        return chosen.view(images.shape)
