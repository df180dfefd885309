"""What is known of a finished network: enough to use it without the comparison that it comes from."""

import json
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict
from torch import nn

from switchbench.trained.load import FinishedNetwork

KEY = "switchbench"
"""Key of the facts in the metadata of a file."""


class NetworkFacts(BaseModel):
    """What an exported file says of its network."""

    model_config = ConfigDict(frozen=True)

    trial_id: str
    network: dict[str, Any]
    """Name and options, as a spec has them."""
    dataset: str
    method: str
    input_shape: tuple[int, int, int]
    """Channels, height and width of an image."""
    classes: int
    class_names: tuple[str, ...] | None
    """In the order of the outputs; None where the classes have no names."""
    mean: tuple[float, ...]
    """By channel, of pixel values from 0 to 255: subtracted from them."""
    std: tuple[float, ...]
    """By channel: pixel values are divided by it afterwards."""
    shapes: dict[str, tuple[int, ...]]
    """Of weights and biases by their names in the state dict; without dead units if they were removed."""
    with_normalisation: bool = False
    """Whether the network takes pixel values from 0 to 255 and normalises them itself."""
    without_dead_units: bool = False
    density: float
    """Share of the weights in scope that are not zero, before dead units were left out."""
    density_layers: dict[str, float]
    test_accuracy: float
    """Share of the test images, as measured in the comparison."""

    @classmethod
    def of(cls, finished: FinishedNetwork, network: nn.Module | None = None, **more: bool) -> Self:
        """Collect the facts of a finished network.

        Args:
            finished: The network, with its trial.
            network: What is written of it, such as the network without dead units.
            more: How it is written.
        """
        row, parameters = finished.row, (network or finished.network).named_parameters()
        return cls(
            trial_id=row.trial_id,
            density=row.density or 0.0,
            density_layers=json.loads(row.density_layers or "{}"),
            test_accuracy=row.test_accuracy or 0.0,
            network=finished.config.network.model_dump(mode="json"),
            dataset=finished.config.dataset.label,
            method=finished.config.method.label,
            input_shape=finished.test.source.shape,
            classes=finished.classes,
            class_names=finished.class_names,
            mean=tuple(finished.test.mean.flatten().tolist()),
            std=tuple(finished.test.std.flatten().tolist()),
            shapes={name: tuple(parameter.shape) for name, parameter in parameters},
            **more,
        )

    def metadata(self) -> dict[str, str]:
        """Return the facts as a file's metadata: text by name."""
        return {KEY: self.model_dump_json()}

    @classmethod
    def of_metadata(cls, metadata: Mapping[str, str]) -> Self:
        """Read what :meth:`metadata` has made. Raises KeyError or ValueError."""
        return cls.model_validate_json(metadata[KEY])
