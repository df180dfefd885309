"""The user's images: arrays in an ``.npz`` file."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from switchbench.datasets.cache import cached
from switchbench.datasets.custom import CustomConfig
from switchbench.datasets.data import Data, Images, MissingData
from switchbench.datasets.registry import register

PARTS = ("train", "test")
NAMES = ("x_train", "y_train", "x_test", "y_test")
CHANNELS = (1, 3)
"""Numbers of channels from which an array's layout is recognised."""

Arrays = dict[str, np.ndarray[Any, Any]]


def _existing_file(path: str) -> str:
    absolute = Path(path).expanduser().resolve()
    if not absolute.is_file():
        raise ValueError(f"{absolute}: no such file")
    return str(absolute)


class ArraysConfig(CustomConfig):
    """Options of an ``.npz`` file."""

    path: Annotated[str, AfterValidator(_existing_file)] = Field(
        description="file with x_train, y_train, x_test and y_test; relative to the current folder"
    )
    channels: Literal["first", "last"] | None = Field(
        None, description="where channels stand in x_train; default: where 1 or 3 can only be channels"
    )

    def files(self) -> list[Path]:
        return [Path(self.path)]


@register("arrays", version=2, config=ArraysConfig)
def arrays(folder: Path, config: ArraysConfig) -> Data:
    """Your arrays (`path: FILE.npz`): x_train, y_train, x_test, y_test; images as bytes, any whole numbers as
    classes."""
    return cached(folder, f"arrays-{config.channels}", config.content(), partial(_read, config))


def _read(config: ArraysConfig) -> Data:
    try:
        with np.load(config.path, allow_pickle=False) as stored:
            found = {name: stored[name] for name in NAMES if name in stored}
    except Exception as error:  # readers of archives raise anything
        raise MissingData(f"path: {config.path}: is not an .npz file of plain arrays") from error
    if missing := [name for name in NAMES if name not in found]:
        raise MissingData(f"path: {config.path}: lacks {', '.join(missing)}")
    labels = [_labels(found, part, config.path) for part in PARTS]
    classes = np.unique(labels[0])
    if unknown := sorted({*labels[1].tolist()} - {*classes.tolist()}):
        raise MissingData(f"path: {config.path}: y_test holds the class {unknown[0]}, which y_train lacks")
    train, test = (
        Images(_pixels(found, part, config), torch.from_numpy(np.searchsorted(classes, numbers)))
        for part, numbers in zip(PARTS, labels, strict=True)
    )
    if train.shape != test.shape:
        raise MissingData(f"path: {config.path}: x_train and x_test hold images of different shapes")
    return Data(train, test, len(classes), tuple(map(str, classes.tolist())))


def _pixels(found: Arrays, part: str, config: ArraysConfig) -> Tensor:
    """Convert to uint8 (n, channels, height, width). Raises MissingData."""
    array = found[f"x_{part}"]
    problem = f"path: {config.path}: x_{part} holds {array.shape} {array.dtype}"
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or not len(array):
        raise MissingData(
            f"{problem}; expected uint8 (n, height, width), (n, height, width, channels) or "
            "(n, channels, height, width)"
        )
    pixels = torch.from_numpy(array)
    if array.ndim == 3:
        return pixels[:, None]
    first, last = array.shape[1] in CHANNELS, array.shape[3] in CHANNELS
    if config.channels is None and first == last:
        raise MissingData(f"{problem}: set the option channels: first, or channels: last")
    channels = config.channels or ("first" if first else "last")
    return pixels if channels == "first" else pixels.permute(0, 3, 1, 2).contiguous()


def _labels(found: Arrays, part: str, path: str) -> np.ndarray[Any, Any]:
    """Return the class numbers as int64 (n,). Raises MissingData."""
    labels, count = found[f"y_{part}"].reshape(-1), len(found[f"x_{part}"])
    if len(labels) != count or not np.issubdtype(labels.dtype, np.integer):
        found_what = f"{len(labels)} of type {labels.dtype}"
        raise MissingData(f"path: {path}: y_{part} should hold {count} whole numbers, but holds {found_what}")
    return labels.astype(np.int64)
