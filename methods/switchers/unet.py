"""The paper's reader: a U-Net that sees a weight matrix as a one-channel image.

Han, Liu, Hai & Li 2021, *Explore the Knowledge contained in Network Weights to Obtain Sparse
Neural Networks* (arXiv 2103.15590); layer widths and initialisation as in the first author's
published code.
"""

import torch
from torch import Tensor, nn

WIDTHS = (8, 16, 32, 64, 128, 256)
"""Channels of the encoder's levels, from the full image down."""
HEADS = 32
"""Row convolutions that turn a map of gates into gates of whole inputs."""
NARROWEST = 8
"""A side shorter than this is not halved any more."""

VECTOR = 16
"""Channels from which a processor computes on slices of channels as fast as on whole tensors."""


class UNet(nn.Module):
    """U-Net reader of one (rows × columns) matrix; the output has the same shape, before ReLU.

    Each level is a 3×3 convolution, batch norm and ReLU; 2×2 max pooling between levels;
    transposed convolutions (with batch norm and ReLU) and skip connections on the way up; a last
    3×3 convolution to one channel and a batch norm. No biases; Kaiming-normal (fan-out)
    initialisation. Small matrices get fewer levels, as in the published code: 784×300 six, 300×100
    and 100×10 five.
    """

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        strides = pooling(rows, columns)
        widths = WIDTHS[: len(strides) + 1]
        pairs = list(zip(widths, widths[1:], strides, strict=False))
        self.first = _block(1, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(stride, stride), _block(narrow, wide))
            for narrow, wide, stride in pairs
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(wide, narrow, stride, stride, bias=False)
            for narrow, wide, stride in reversed(pairs)
        )
        self.grown = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(narrow), nn.ReLU(inplace=True)) for narrow, _, _ in reversed(pairs)
        )
        self.merge = nn.ModuleList(_block(2 * narrow, narrow) for narrow in widths[-2::-1])
        self.last = nn.Sequential(nn.Conv2d(widths[0], 1, 3, padding=1, bias=False), nn.BatchNorm2d(1))
        _initialise(self)
        self.to(memory_format=torch.channels_last)  # a third less time on CPUs

    def forward(self, weight: Tensor) -> Tensor:
        """Read a (rows × columns) matrix; return a matrix of the same shape."""
        levels = [self.first(weight[None, None])]
        for down in self.down:
            levels.append(down(levels[-1]))
        image = levels.pop()
        for up, norm, merge in zip(self.up, self.grown, self.merge, strict=True):
            skip = levels.pop()
            grown = norm(up(image, output_size=skip.shape[-2:]))
            if grown.requires_grad and grown.shape[1] < VECTOR:
                grown.register_hook(_packed)
            image = merge(torch.cat([skip, grown], dim=1))
        gates: Tensor = self.last(image)[0, 0]
        return gates


class UNetReader(nn.Module):
    """A U-Net as a switcher's reader of one layer: it sees (inputs × outputs), as published.

    With ``units`` its map of gates (after ReLU) is read by 32 convolutions over whole rows, batch
    norm and ReLU, and a 1×1 convolution and batch norm, which gives one logit per input.
    """

    def __init__(self, outputs: int, inputs: int, units: bool = False) -> None:
        super().__init__()
        self.unet = UNet(inputs, outputs)
        self.head = None
        if units:
            self.head = nn.Sequential(
                nn.ReLU(),
                nn.Conv2d(1, HEADS, (1, outputs), bias=False),
                nn.BatchNorm2d(HEADS),
                nn.ReLU(),
                nn.Conv2d(HEADS, 1, 1, bias=False),
                nn.BatchNorm2d(1),
            )
            _initialise(self.head)

    def forward(self, weight: Tensor, gate: Tensor) -> Tensor:
        """Logits (outputs × inputs), or (inputs,) with ``units``; the present gate is not looked at."""
        image: Tensor = self.unet(weight.T)
        return image.T if self.head is None else self.head(image[None, None])[0, 0, :, 0]


def _initialise(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")


def pooling(rows: int, columns: int) -> list[tuple[int, int]]:
    """Strides of the poolings between levels.

    Five where the shorter side has 128 or more entries, else four as far as the longer side
    allows; a side below :data:`NARROWEST` keeps its length (the published code also halves the
    output layer's short side less often than its long one).
    """
    short, long = sorted((rows, columns))
    depth = max(min(5, short.bit_length() - 3), min(4, long.bit_length() - 3), 0)
    strides = []
    for _ in range(depth):
        stride = (2 if rows >= NARROWEST else 1, 2 if columns >= NARROWEST else 1)
        rows, columns = rows // stride[0], columns // stride[1]
        strides.append(stride)
    return strides


def _packed(gradient: Tensor) -> Tensor:
    """Return a copy of a gradient that is a slice of another one. The backward pass of ReLU is many times
    slower on a slice of few channels."""
    return gradient.contiguous(memory_format=torch.channels_last)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )
