"""The default data set: small, real, and bundled with scikit-learn."""

from pathlib import Path

import torch

from switchbench.datasets.data import Data, Facts, Images
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
    from sklearn.datasets import load_digits

    bundle = load_digits()
    images = torch.from_numpy(bundle.images).to(torch.uint8)[:, None]
    labels = torch.from_numpy(bundle.target).to(torch.int64)
    test = torch.arange(len(labels)) % TEST_EVERY == 0
    return Data(
        train=Images(images[~test], labels[~test]), test=Images(images[test], labels[test]), classes=10
    )
