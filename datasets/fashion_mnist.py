"""Fashion-MNIST from the local folder, from Debian's package, or from the network."""

import shutil
import socket
import tempfile
from pathlib import Path

import torch

from switchbench.datasets.catalogue import Data, Images, MissingData, register

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
TIMEOUT_SECONDS = 20
FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", 60_000),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", 10_000),
}


@register("fashion-mnist")
def fashion_mnist(folder: Path) -> Data:
    """60,000 + 10,000 pictures of clothes, 28×28 grey pixels, 10 classes (Xiao et al. 2017)."""
    fetched = folder / "FashionMNIST" / "raw"  # torchvision's own layout
    places = [folder / "fashion-mnist", fetched, DEBIAN_FOLDER]
    for place in places:
        if all(_find(place, name) for part in FILES.values() for name in part[:2]):
            return _read(place)
    try:
        _fetch(folder)
    except (OSError, RuntimeError) as error:
        looked = ", ".join(str(place) for place in places)
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise MissingData(
            f"data set 'fashion-mnist' is not here: looked in {looked}; the download failed "
            f"({reason}); install Debian's package dataset-fashion-mnist, or put its four IDX files "
            f"into {places[0]} (set SWITCHBENCH_DATA for another data folder)"
        ) from error
    return _read(fetched)


def _find(place: Path, name: str) -> Path | None:
    return next((path for path in (place / name, place / f"{name}.gz") if path.is_file()), None)


def _read(place: Path) -> Data:
    parts = {}
    for part, (images, labels, count) in FILES.items():
        parts[part] = Images(
            _tensor(place, images, (count, 28, 28))[:, None], _tensor(place, labels, (count,)).to(torch.int64)
        )
    return Data(train=parts["train"], test=parts["test"], classes=10)


def _tensor(place: Path, name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """One IDX file, plain or gzipped, as torchvision reads it."""
    from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor
    from torchvision.datasets.utils import extract_archive

    path = _find(place, name)
    assert path is not None
    try:
        with tempfile.TemporaryDirectory() as scratch:
            plain = extract_archive(str(path), scratch) if path.suffix == ".gz" else path
            tensor: torch.Tensor = read_sn3_pascalvincent_tensor(str(plain))
    except Exception as error:  # readers raise anything on a broken file: EOFError, ValueError, zlib.error, …
        reason = str(error) or type(error).__name__
        raise MissingData(f"{path}: cannot be read as an IDX file ({reason})") from error
    if tensor.shape != shape or tensor.dtype != torch.uint8:
        raise MissingData(f"{path}: holds {tuple(tensor.shape)} {tensor.dtype}, not {shape} torch.uint8")
    return tensor


def _fetch(folder: Path) -> None:
    """Download through torchvision, which checks the checksums; move into place when complete."""
    from torchvision.datasets import FashionMNIST

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            FashionMNIST(scratch, download=True)
            _publish(Path(scratch) / "FashionMNIST", folder / "FashionMNIST")
    finally:
        socket.setdefaulttimeout(before)


def _publish(complete: Path, target: Path) -> None:
    """Put a folder into place whole; another process may have done so in the meantime."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as beside:
        copy = shutil.copytree(complete, Path(beside) / target.name)
        try:
            copy.replace(target)
        except OSError:
            if not target.is_dir():
                raise
