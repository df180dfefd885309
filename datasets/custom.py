"""The user's images: a folder with one folder per class, or arrays in an ``.npz`` file."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from torch import Tensor

from switchbench.datasets.cache import cached
from switchbench.datasets.data import Data, Images, MissingData
from switchbench.datasets.registry import register

PARTS = ("train", "test")
ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def _existing_folder(path: str) -> str:
    absolute = Path(path).expanduser().resolve()
    if not absolute.is_dir():
        raise ValueError(f"{absolute}: no such folder")
    return str(absolute)


def _existing_file(path: str) -> str:
    absolute = Path(path).expanduser().resolve()
    if not absolute.is_file():
        raise ValueError(f"{absolute}: no such file")
    return str(absolute)


class _CustomConfig(BaseModel):
    """Options of data at a path. A trial's identity has the content of the files in place of the path."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str

    def files(self) -> list[Path]:
        """Return all files of the data, in a fixed order."""
        raise NotImplementedError

    def identity(self) -> dict[str, Any]:
        """Return the options as they count in a trial's identity: ``path`` is replaced by ``content``.

        Returns:
            The other options by name, and ``content``, a hash of all files and their names.

        Raises:
            MissingData: A file cannot be read.
        """
        try:
            stats = tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in self.files())
            content = _content_hash(Path(self.path), stats)
        except OSError as error:
            raise MissingData(f"path: {self.path}: cannot be read ({error})") from error
        return self.model_dump(mode="json", exclude={"path"}) | {"content": content}


class FolderConfig(_CustomConfig):
    """Options of a folder of images."""

    path: Annotated[str, AfterValidator(_existing_folder)] = Field(
        description="folder that holds train/CLASS/IMAGE and test/CLASS/IMAGE"
    )
    channels: Literal[1, 3] = Field(3, description="grey or colour")
    size: int | None = Field(
        None, ge=1, description="height and width in pixels to resize to; default: no resizing"
    )

    def files(self) -> list[Path]:
        return sorted(path for part in PARTS for path in Path(self.path, part).rglob("*") if path.is_file())


class ArraysConfig(_CustomConfig):
    """Options of an ``.npz`` file."""

    path: Annotated[str, AfterValidator(_existing_file)] = Field(
        description="file with the arrays x_train, y_train, x_test and y_test"
    )

    def files(self) -> list[Path]:
        return [Path(self.path)]


@register("image-folder", config=FolderConfig)
def image_folder(folder: Path, config: FolderConfig) -> Data:
    """Your images (`path: FOLDER`) in train/CLASS and test/CLASS, of one size or resized to one (`size`)."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import functional as transforms

    def read_part(name: str) -> tuple[Images, list[str]]:
        try:
            listed = ImageFolder(str(Path(config.path, name)))
        except OSError as error:
            raise MissingData(
                f"path: {Path(config.path, name)}: should hold a folder of images per class ({error})"
            ) from error
        pixels = []
        for file, _ in listed.samples:
            try:
                image = listed.loader(file)
            except Exception as error:  # image libraries raise anything
                raise MissingData(f"{file}: cannot be read as an image ({error})") from error
            if config.channels == 1:
                image = image.convert("L")
            if config.size:
                image = image.resize((config.size, config.size))
            pixels.append(transforms.pil_to_tensor(image))
        sizes = {tuple(image.shape[1:]) for image in pixels}
        if len(sizes) > 1:
            shown = ", ".join(f"{height}×{width}" for height, width in sorted(sizes)[:3])
            raise MissingData(
                f"path: {config.path}: has images of several sizes ({shown}, …): set the option size"
            )
        return Images(torch.stack(pixels), torch.tensor(listed.targets)), listed.classes

    def decode() -> Data:
        (train, classes), (test, test_classes) = map(read_part, PARTS)
        if classes != test_classes:
            unpaired = ", ".join(sorted({*classes} ^ {*test_classes}))
            raise MissingData(f"path: {config.path}: train and test have different classes ({unpaired})")
        return Data(train, test, len(classes))

    files = config.files()
    if not files:
        raise MissingData(f"path: {config.path}: holds no images train/CLASS/IMAGE and test/CLASS/IMAGE")
    return cached(folder, f"image-folder-{config.channels}-{config.size}", files, decode)


@register("arrays", config=ArraysConfig)
def arrays(folder: Path, config: ArraysConfig) -> Data:
    """Your arrays (`path: FILE.npz`): x_train, y_train, x_test, y_test; images as bytes."""
    try:
        with np.load(config.path, allow_pickle=False) as stored:
            found = {name: stored[name] for name in ARRAYS if name in stored}
    except Exception as error:  # readers of archives raise anything
        raise MissingData(f"path: {config.path}: is not an .npz file of plain arrays") from error
    if missing := [name for name in ARRAYS if name not in found]:
        raise MissingData(f"path: {config.path}: lacks the arrays {', '.join(missing)}")
    train, test = (
        Images(_pixels(found[f"x_{part}"], part, config.path), _labels(found, part, config.path))
        for part in PARTS
    )
    if train.shape != test.shape:
        raise MissingData(f"path: {config.path}: x_train and x_test hold images of different shapes")
    return Data(train, test, int(max(train.labels.max(), test.labels.max())) + 1)


def _pixels(array: np.ndarray[Any, Any], part: str, path: str) -> Tensor:
    """Convert to uint8 (n, channels, height, width). Channels may come first, last or not at all."""
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or not len(array):
        raise MissingData(
            f"path: {path}: x_{part} holds {array.shape} {array.dtype}; expected uint8 (n, height, width) "
            "or (n, height, width, channels)"
        )
    pixels = torch.from_numpy(array)
    if array.ndim == 3:
        return pixels[:, None]
    channels_first = array.shape[1] in (1, 3) and array.shape[3] not in (1, 3)
    return pixels if channels_first else pixels.permute(0, 3, 1, 2).contiguous()


def _labels(found: dict[str, np.ndarray[Any, Any]], part: str, path: str) -> Tensor:
    """Convert to int64 (n,) and check the class numbers. Raises MissingData."""
    labels, count = found[f"y_{part}"].reshape(-1), len(found[f"x_{part}"])
    if len(labels) != count or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise MissingData(f"path: {path}: y_{part} should hold {count} class numbers, from 0")
    return torch.from_numpy(labels.astype(np.int64))


@lru_cache(maxsize=8)
def _content_hash(root: Path, stats: tuple[tuple[Path, int, int], ...]) -> str:
    """Hash all files and their names relative to ``root``.

    ``stats`` are path, size in bytes and modification time in ns of each file; while they stay the same,
    files are not read again.
    """
    digest = hashlib.sha256()
    for file, size, _ in stats:
        name = "" if file == root else file.relative_to(root).as_posix()
        digest.update(f"{name}\0{size}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]
