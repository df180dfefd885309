"""Your own images: a folder with one folder per class, or arrays in an ``.npz`` file."""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from torch import Tensor

from switchbench.datasets.cache import shared
from switchbench.datasets.data import Data, Images, MissingData
from switchbench.datasets.registry import register

PARTS = ("train", "test")


def _folder(path: str) -> str:
    absolute = Path(path).expanduser().resolve()
    if not absolute.is_dir():
        raise ValueError(f"{absolute}: no such folder")
    return str(absolute)


def _file(path: str) -> str:
    absolute = Path(path).expanduser().resolve()
    if not absolute.is_file():
        raise ValueError(f"{absolute}: no such file")
    return str(absolute)


class _OwnConfig(BaseModel):
    """Options of data that lie anywhere. Their content counts in a trial's identity, not their place."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str

    def files(self) -> list[Path]:
        """All files of the data, in a fixed order."""
        raise NotImplementedError

    def identity(self) -> dict[str, Any]:
        """What stands for the options in a trial's identity. Raises MissingData."""
        try:
            stats = tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in self.files())
            content = _content(Path(self.path), stats)
        except OSError as error:
            raise MissingData(f"path: {self.path}: cannot be read ({error})") from error
        return self.model_dump(mode="json", exclude={"path"}) | {"content": content}


class FolderConfig(_OwnConfig):
    """Options of a folder of images."""

    path: Annotated[str, AfterValidator(_folder)] = Field(
        description="folder that holds train/CLASS/IMAGE and test/CLASS/IMAGE"
    )
    channels: Literal[1, 3] = Field(3, description="grey or colour")
    size: int | None = Field(None, ge=1, description="side in pixels to resize to; default: as they are")

    def files(self) -> list[Path]:
        return sorted(path for part in PARTS for path in Path(self.path, part).rglob("*") if path.is_file())


class ArraysConfig(_OwnConfig):
    """Options of an ``.npz`` file."""

    path: Annotated[str, AfterValidator(_file)] = Field(
        description="file with the arrays x_train, y_train, x_test and y_test"
    )

    def files(self) -> list[Path]:
        return [Path(self.path)]


@register("image-folder", config=FolderConfig)
def image_folder(folder: Path, config: FolderConfig) -> Data:
    """Your images (`path: FOLDER`) in train/CLASS and test/CLASS, of one size or resized to one (`size`)."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import functional as transforms

    def part(name: str) -> tuple[Images, list[str]]:
        try:
            found = ImageFolder(str(Path(config.path, name)))
        except OSError as error:
            raise MissingData(
                f"path: {Path(config.path, name)}: no folder of images per class ({error})"
            ) from error
        pixels = []
        for file, _ in found.samples:
            try:
                image = found.loader(file)
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
            raise MissingData(f"path: {config.path}: images of several sizes ({shown}, …): give a size")
        return Images(torch.stack(pixels), torch.tensor(found.targets)), found.classes

    def decode() -> Data:
        (train, classes), (test, others) = map(part, PARTS)
        if classes != others:
            odd = ", ".join(sorted({*classes} ^ {*others}))
            raise MissingData(f"path: {config.path}: train and test have different classes ({odd})")
        return Data(train, test, len(classes))

    files = config.files()
    if not files:
        raise MissingData(f"path: {config.path}: holds no train/CLASS/IMAGE and test/CLASS/IMAGE")
    return shared(folder, f"image-folder-{config.channels}-{config.size}", files, decode)


@register("arrays", config=ArraysConfig)
def arrays(folder: Path, config: ArraysConfig) -> Data:
    """Your arrays (`path: FILE.npz`): x_train, y_train, x_test, y_test; images as bytes."""
    try:
        with np.load(config.path, allow_pickle=False) as stored:
            held = {name: stored[name] for name in ("x_train", "y_train", "x_test", "y_test")}
    except KeyError as error:
        raise MissingData(f"path: {config.path}: holds no such array ({error})") from error
    except Exception as error:  # readers of archives raise anything
        raise MissingData(f"path: {config.path}: not an .npz file of plain arrays") from error
    parts = [Images(_pixels(held[f"x_{p}"], p, config.path), _labels(held, p, config.path)) for p in PARTS]
    if parts[0].images.shape[1:] != parts[1].images.shape[1:]:
        raise MissingData(f"path: {config.path}: x_train and x_test hold images of different shapes")
    return Data(parts[0], parts[1], int(max(part.labels.max() for part in parts)) + 1)


def _pixels(array: np.ndarray[Any, Any], part: str, path: str) -> Tensor:
    """Bytes (n, channels, height, width); channels may come first or last, or not at all."""
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or not len(array):
        raise MissingData(
            f"path: {path}: x_{part} holds {array.shape} {array.dtype}; expected uint8 (n, height, width) "
            "or (n, height, width, channels)"
        )
    pixels = torch.from_numpy(array)
    if array.ndim == 3:
        return pixels[:, None]
    return (
        pixels
        if array.shape[1] in (1, 3) and array.shape[3] not in (1, 3)
        else pixels.permute(0, 3, 1, 2).contiguous()
    )


def _labels(held: dict[str, np.ndarray[Any, Any]], part: str, path: str) -> Tensor:
    labels, count = held[f"y_{part}"].reshape(-1), len(held[f"x_{part}"])
    if len(labels) != count or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise MissingData(f"path: {path}: y_{part} should hold {count} class numbers from 0")
    return torch.from_numpy(labels.astype(np.int64))


@lru_cache(maxsize=8)
def _content(root: Path, stats: Iterable[tuple[Path, int, int]]) -> str:
    """Hash of all files with their names below the root; the stats say when it has to be made anew."""
    digest = hashlib.sha256()
    for file, size, _ in stats:
        name = "" if file == root else file.relative_to(root).as_posix()
        digest.update(f"{name}\0{size}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]
