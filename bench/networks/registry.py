"""The registered networks by name, and the interface that they share."""

from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import nn

from switchbench.methods import Options
from switchbench.methods.options import invalid_default
from switchbench.registration import registrar

InputShape = tuple[int, int, int]
"""Channels, height and width of one image."""

Width = Annotated[int, Field(ge=1)]
"""Number of a layer's units, at least 1."""


class Network:
    """Base of every registered network. Subclass it and :func:`register` the subclass.

    A subclass is either an ``nn.Module`` itself, constructed with (input_shape, classes, config), or it
    overrides :meth:`build`, which returns another module.
    """

    class Config(Options):
        """Options of the network. A subclass of :class:`Network` may define its own."""

    name: ClassVar[str]
    """Set by :func:`register`."""
    version: ClassVar[int] = 1
    """Raise it when results change: stored results of older versions are then not reused."""
    plugin_source: ClassVar[str | None] = None
    """Hash of the plug-in module that defines the class; None for a network of switchbench. Set by
    :func:`register`."""

    @classmethod
    def build(cls, input_shape: InputShape, classes: int, config: Any) -> nn.Module:
        """Build a freshly initialised network. Weights are drawn from torch's default generator.

        The default is an instance of the class itself.

        Args:
            input_shape: Channels, height and width of one image, in pixels.
            classes: Number of classes.
            config: Options, an instance of the class's ``Config``.

        Returns:
            A module, in training mode, that maps float32 images (n, channels, height, width) to logits
            (n, classes).

        Raises:
            ValueError: The network cannot take such images.
        """
        network_class: Any = cls
        network: nn.Module = network_class(input_shape, classes, config)
        return network


NETWORKS: dict[str, type[Network]] = {}
"""Every registered network by name."""


def _problem(cls: type[Any]) -> str | None:
    if not issubclass(cls, Network):
        return "should derive from switchbench.networks.Network"
    if cls.build.__func__ is Network.build.__func__ and not issubclass(cls, nn.Module):  # type: ignore[attr-defined]
        return "should derive from torch.nn.Module as well, or override build"
    return invalid_default(cls.Config)


register = registrar("network", NETWORKS, _problem)
"""Class decorator ``@register(name)``: register a network under a name.

The first line of the class's docstring is the network's description.
Raises ValueError if another class has the name or if the class has no docstring.

Example::

    @register("linear")
    class Linear(Network, nn.Sequential):
        \"\"\"One fully connected layer.\"\"\"

        def __init__(self, input_shape: InputShape, classes: int, config: Network.Config) -> None:
            super().__init__(nn.Flatten(), nn.Linear(math.prod(input_shape), classes))
"""
