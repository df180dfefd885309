"""The user's images: a folder with one folder per class."""

import os
from collections.abc import Iterator
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
SIXTEEN_BITS = {"I;16", "I;16L", "I;16B", "I;16N"}
"""Pillow's modes of grey images with values up to 65,535."""
TOO_DEEP = {"I": "32-bit whole numbers", "F": "32-bit floating-point numbers"}


def _existing_folder(path: str) -> str:
    absolute = Path(path).expanduser().resolve()
    if not absolute.is_dir():
        raise ValueError(f"{absolute}: no such folder")
    return str(absolute)


class FolderConfig(CustomConfig):
    """Options of a folder of images."""

    path: Annotated[str, AfterValidator(_existing_folder)] = Field(
        description="folder that holds train/CLASS/IMAGE and test/CLASS/IMAGE; relative to the current folder"
    )
    channels: Literal[1, 3] = Field(3, description="grey or colour")
    size: int | None = Field(
        None, ge=1, description="height and width in pixels to resize to; default: no resizing"
    )

    def files(self) -> list[Path]:
        return sorted(file for part in PARTS for _, file in self.images(part))

    def images(self, part: str) -> list[tuple[str, Path]]:
        """Return the class and the file of every image of a part, in order.

        Links are followed. Hidden files and folders, and files that no image library reads, do not count.

        Raises:
            MissingData: The part or a class holds no image, or a class holds another one's folder.
        """
        root, owners = Path(self.path, part), dict[str, str]()
        if not root.is_dir():
            raise MissingData(f"path: {self.path}: holds no folder {part} with a folder of images per class")
        found: list[tuple[str, Path]] = []
        for folder in sorted(entry for entry in root.iterdir() if _counts(entry.name) and entry.is_dir()):
            files = sorted(_image_files(folder, owners))
            if not files:
                raise MissingData(f"path: {folder}: holds no image; remove a class without images")
            found += [(folder.name, file) for file in files]
        return found


@register("image-folder", version=2, config=FolderConfig)
def image_folder(folder: Path, config: FolderConfig) -> Data:
    """Your images (`path: FOLDER`) in train/CLASS and test/CLASS, of one size or resized to one (`size`)."""

    def decode() -> Data:
        listed = {part: config.images(part) for part in PARTS}
        classes, test_classes = ({name for name, _ in listed[part]} for part in PARTS)
        if classes != test_classes:
            unpaired = ", ".join(sorted(classes ^ test_classes))
            raise MissingData(f"path: {config.path}: train and test have different classes ({unpaired})")
        if not classes:
            raise MissingData(f"path: {config.path}: holds no images train/CLASS/IMAGE and test/CLASS/IMAGE")
        numbers = {name: number for number, name in enumerate(sorted(classes))}
        train, test = (
            Images(_stack(config, images), torch.tensor([numbers[name] for name, _ in images]))
            for images in listed.values()
        )
        return Data(train, test, len(classes), tuple(sorted(classes)))

    return cached(folder, f"image-folder-{config.channels}-{config.size}", config.content(), decode)


def _counts(name: str) -> bool:
    """Return whether a file or folder is the user's, and not the operating system's or an editor's."""
    return not name.startswith((".", "__MACOSX"))


def _image_files(folder: Path, owners: dict[str, str]) -> Iterator[Path]:
    """Yield the files in a class's folder and below it whose names end as those of images do.

    Args:
        folder: The folder of the class. Links are followed, into each folder once.
        owners: The class of each folder that was read, by its real path; this one's are added.

    Raises:
        MissingData: A link leads to a folder of another class.
    """
    from PIL import Image

    endings = Image.registered_extensions()
    for root, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if owners.get(real, folder.name) != folder.name:
            raise MissingData(f"{root}: is in the classes {owners[real]} and {folder.name}")
        folders[:] = [] if real in owners else sorted(name for name in folders if _counts(name))
        if real not in owners:
            yield from (
                Path(root, name) for name in names if _counts(name) and Path(name).suffix.lower() in endings
            )
        owners[real] = folder.name


def _stack(config: FolderConfig, images: list[tuple[str, Path]]) -> Tensor:
    """Read images into one tensor, uint8 (n, channels, height, width). Raises MissingData."""
    pixels = [_pixels(config, file) for _, file in images]
    sizes = {tuple(image.shape[1:]) for image in pixels}
    if len(sizes) > 1:
        shown = ", ".join(f"{height}×{width}" for height, width in sorted(sizes)[:3])
        raise MissingData(
            f"path: {config.path}: has images of several sizes ({shown}, …): set the option size"
        )
    return torch.stack(pixels)


def _pixels(config: FolderConfig, file: Path) -> Tensor:
    """Read an image as a viewer shows it: upright, 16 bits scaled to 8. Raises MissingData."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            frames = getattr(opened, "n_frames", 1) if opened.format != "MPO" else 1  # a camera's preview
            image: Any = ImageOps.exif_transpose(opened)
            image.load()
            transparent = image.has_transparency_data
    except Exception as error:  # image libraries raise anything
        raise MissingData(f"{file}: cannot be read as an image ({error})") from error
    if frames > 1:
        raise MissingData(f"{file}: holds {frames} images, and should hold one")
    if image.mode in TOO_DEEP:
        raise MissingData(f"{file}: holds {TOO_DEEP[image.mode]}; save it with 8 or 16 bits a channel")
    if image.mode in SIXTEEN_BITS:
        image = Image.fromarray(np.round(np.asarray(image) / 257).astype(np.uint8))
    if transparent:
        lowest, _ = image.convert("RGBA").getchannel("A").getextrema()
        if lowest < 255:
            raise MissingData(f"{file}: has transparent pixels, whose colours mean nothing; flatten it")
    image = image.convert("L" if config.channels == 1 else "RGB")
    if config.size:
        image = image.resize((config.size, config.size))
    return torch.from_numpy(np.array(image)).view(image.height, image.width, config.channels).permute(2, 0, 1)
