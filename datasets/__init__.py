"""Named data sets as tensors in memory, and their training, validation and test splits.

Loaders, their files and downloads, augmentation and splits live here. What a trial uses and how it is trained
does not: that is the engine's.

May import: nothing.

Importing this package registers the data sets that ship with it. To add one, write a module with a loader
under :func:`register` and import it here, or load it as a plug-in.
"""

from switchbench.datasets import arrays, cifar, digits, fake, image_folder, mnist, svhn
from switchbench.datasets.augment import Augmentation
from switchbench.datasets.data import Data, Facts, Images, MissingData
from switchbench.datasets.registry import (
    DATASETS,
    DatasetEntry,
    data_folder,
    forget_loaded,
    forget_on_devices,
    load,
    register,
)
from switchbench.datasets.splits import Batch, Split, Splits, held_out, split, training_size

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
    "arrays",
    "cifar",
    "data_folder",
    "digits",
    "fake",
    "forget_loaded",
    "forget_on_devices",
    "held_out",
    "image_folder",
    "load",
    "mnist",
    "register",
    "split",
    "svhn",
    "training_size",
]
