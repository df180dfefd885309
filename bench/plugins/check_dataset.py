"""Check that a data set can be compared on, and say what is odd in it."""

import torch
from torch import Tensor

from switchbench import datasets
from switchbench.datasets import Data, DatasetEntry, MissingData
from switchbench.plugins.outcome import Outcome, named, one_line, require, run_checks
from switchbench.spec.components import DatasetChoice
from switchbench.trial.outcomes import Skipped

FEW = 10
"""Fewer images of a class than this tell little."""


class Case:
    """A data set with its options, loaded.

    Raises:
        MissingData: It cannot be loaded, or what its loader returns cannot be trained on.
    """

    def __init__(self, choice: DatasetChoice) -> None:
        self.choice = choice
        self.entry: DatasetEntry = self.choice.registered
        self.data: Data = self.choice.load()


def loads_the_same_again(case: Case) -> None:
    """Check that a second reading gives the same images and labels."""
    again = case.entry.load(datasets.data_folder(), case.choice.config)
    for part in ("train", "test"):
        one, other = getattr(case.data, part), getattr(again, part)
        require(torch.equal(one.images, other.images), f"a second reading gives other {part} images")
        require(torch.equal(one.labels, other.labels), f"a second reading gives other {part} labels")


def has_every_class_in_both_parts(case: Case) -> None:
    """Check that each class has training and test images."""
    for part in ("train", "test"):
        missing = [number for number, count in enumerate(_counts(case.data, part)) if not count]
        require(missing != [0], f"no {part} label is 0: do the labels begin at 1? They should begin at 0")
        require(not missing, f"classes without {part} images: {_some(missing)} of {case.data.classes}")


def has_enough_of_each_class(case: Case) -> None:
    """Check that no class has a handful of training images."""
    few = [n for n, count in enumerate(_counts(case.data, "train")) if 0 < count < FEW]
    require(not few, f"classes with fewer than {FEW} training images: {_some(few)}")


def tests_on_other_images_than_it_trains_on(case: Case) -> None:
    """Check that no test image is also a training image."""
    seen = {*_rows(case.data.train.images)}
    shared = sum(row in seen for row in _rows(case.data.test.images))
    require(not shared, f"{shared} of {len(case.data.test)} test images are also training images")


def uses_the_range_of_a_byte(case: Case) -> None:
    """Check that pixels are bytes from 0 to 255, and not shares or classes stored as bytes."""
    brightest = int(case.data.train.images.max())
    require(brightest > 1, f"the largest pixel value is {brightest}: were shares from 0 to 1 cut to bytes?")
    constant = int(
        (case.data.train.images.flatten(1).amin(1) == case.data.train.images.flatten(1).amax(1)).sum()
    )
    require(constant < len(case.data.train) / 10, f"{constant} training images have one value in all pixels")


def says_its_sizes_truly(case: Case) -> None:
    """Check that registered sizes are those of the data."""
    facts = case.entry.facts
    if facts is None:
        raise Skipped("no sizes are registered")
    found = (len(case.data.train), case.data.input_shape, case.data.classes)
    require(found == (facts.train, facts.shape, facts.classes), f"registered are {facts}, found {found}")


CHECKS = named(
    loads_the_same_again,
    has_every_class_in_both_parts,
    has_enough_of_each_class,
    tests_on_other_images_than_it_trains_on,
    uses_the_range_of_a_byte,
    says_its_sizes_truly,
)
"""All checks by name, in the order in which they run."""


def check(choice: DatasetChoice) -> list[Outcome]:
    """Run every check on a data set.

    Args:
        choice: The data set with its options.

    Returns:
        One outcome per check, in the order of :data:`CHECKS`; a single one if it cannot be loaded.
    """
    try:
        case = Case(choice)
    except MissingData as error:
        return [Outcome("loads", str(error))]
    except Exception as error:  # a loader of a plug-in may raise anything
        return [Outcome("loads", one_line(error))]
    return run_checks(CHECKS, case)


def _counts(data: Data, part: str) -> list[int]:
    labels: Tensor = getattr(data, part).labels
    return torch.bincount(labels, minlength=data.classes).tolist()


def _rows(images: Tensor) -> list[bytes]:
    return [row.tobytes() for row in images.flatten(1).numpy()]


def _some(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    return shown if len(numbers) <= 5 else f"{shown}, …"
