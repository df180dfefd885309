"""Named data sets as tensors in memory, and their three splits.

Needs torch and the libraries that hold or read the data; nothing of the engine. Importing
this package registers the data sets that ship with it.
"""

from switchbench.datasets import cifar, custom, digits, fake, mnist, svhn
from switchbench.datasets.augment import Augmentation
from switchbench.datasets.data import Data, Facts, Images, MissingData
from switchbench.datasets.registry import DATASETS, DatasetEntry, data_folder, load, register
from switchbench.datasets.splits import Batch, Split, Splits, held_out, split

__all__ = [
    "DATASETS",
    "Augmentation",
    "Batch",
    "Data",
    "DatasetEntry",
    "Facts",
    "Images",
    "MissingData",
    "Split",
    "Splits",
    "cifar",
    "custom",
    "data_folder",
    "digits",
    "fake",
    "held_out",
    "load",
    "mnist",
    "register",
    "split",
    "svhn",
]
