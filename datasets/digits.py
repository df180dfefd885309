"""The default data set: small, real, and bundled with scikit-learn."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from switchbench.datasets.data import DIGITS, Data, Facts, Images
from switchbench.datasets.registry import register

TEST_EVERY = 5
"""Every fifth image, from the first on, is a test image."""


@register("digits", facts=Facts(train=1437, shape=(1, 8, 8), classes=10))
def digits(folder: Path) -> Data:
    """1,797 handwritten digits of 8×8 pixels, bundled with scikit-learn.

    Alpaydin & Kaynak 1998, *Optical Recognition of Handwritten Digits*. There is no official
    test set in the bundle: every fifth image is test (360), the others train (1,437), the same
    for every seed.
    """
    table = torch.from_numpy(_table())
    images = table[:, :-1].reshape(-1, 1, 8, 8).to(torch.uint8)
    labels = table[:, -1].to(torch.int64)
    test = torch.arange(len(labels)) % TEST_EVERY == 0
    return Data(
        train=Images(images[~test], labels[~test]),
        test=Images(images[test], labels[test]),
        classes=10,
        class_names=DIGITS,
    )


def _table() -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    """Return one row per image: its 64 pixels and its label.

    The file is read where it lies: importing scikit-learn takes longer than training a small network.
    """
    package = find_spec("sklearn")
    for folder in (package and package.submodule_search_locations) or ():
        file = Path(folder, "datasets", "data", "digits.csv.gz")
        if file.exists():
            return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits  # of a version that keeps the file elsewhere

    bundle = load_digits()
    return np.column_stack([bundle.data, bundle.target])
