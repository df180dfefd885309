"""Named data sets as tensors in memory, and their three splits.

Needs torch and the libraries that hold or read the data; nothing of the engine. Importing
this package registers the data sets that ship with it.
"""

from switchbench.datasets import digits, fashion_mnist
from switchbench.datasets.catalogue import DATASETS, Data, Images, MissingData, data_folder, load, register
from switchbench.datasets.splits import Split, Splits, held_out, split

__all__ = [
    "DATASETS",
    "Data",
    "Images",
    "MissingData",
    "Split",
    "Splits",
    "data_folder",
    "digits",
    "fashion_mnist",
    "held_out",
    "load",
    "register",
    "split",
]
