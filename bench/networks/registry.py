"""What a task network is, and the names under which they are known."""

from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import nn

from switchbench.methods import Options
from switchbench.registry import registrar

InputShape = tuple[int, int, int]
"""Channels, height, width."""

Width = Annotated[int, Field(ge=1)]


class Network:
    """What a registered network is beside a module, or a recipe for one."""

    class Config(Options):
        """Options of the network."""

    name: ClassVar[str]
    """Set by :func:`register`."""
    version: ClassVar[int] = 1
    """Raise it when results change: stored results of older versions are then not reused."""

    @classmethod
    def build(cls, input_shape: InputShape, classes: int, config: Any) -> nn.Module:
        """A freshly initialised network for images of a shape: an instance of the class itself, unless
        overridden. Raises ValueError if it cannot take such images."""
        made: nn.Module = cls(input_shape, classes, config)  # type: ignore[call-arg, assignment]
        return made


NETWORKS: dict[str, type[Network]] = {}
"""Every registered network by name."""

register = registrar("network", NETWORKS)
"""Class decorator ``@register(name)``: make a network known under a name."""
