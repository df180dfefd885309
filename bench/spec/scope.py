"""The scope: which layers a method may sparsify."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator
from torch import nn

from switchbench.methods import Layers
from switchbench.methods.parts.layers import PRUNABLE
from switchbench.networks.layers import prunable


class Scope(BaseModel):
    """A kind of layers, and patterns of layer names: ``fc``, ``all``, or ``{layers: all, exclude: [conv1]}``.

    ``fc`` means the fully connected layers (the setting of the switcher paper). ``all`` means convolutions as
    well. Patterns are shell patterns such as ``layer1.*``. They apply to the layer names in the network.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layers: Literal["fc", "all"] = Field(
        "all", description="fc: fully connected layers; all: convolutions as well"
    )
    include: tuple[str, ...] = Field((), description="patterns; if given, only layers whose names match one")
    exclude: tuple[str, ...] = Field((), description="patterns; layers whose names match one are left out")

    @model_validator(mode="before")
    @classmethod
    def _expand_short_form(cls, raw: Any) -> Any:
        return {"layers": raw} if isinstance(raw, str) else raw

    @model_serializer
    def _write(self) -> str | dict[str, Any]:
        if not self.patterns:
            return self.layers
        named = {"include": [*self.include], "exclude": [*self.exclude]}
        return {"layers": self.layers, **{key: patterns for key, patterns in named.items() if patterns}}

    def __str__(self) -> str:
        only = f" in {' '.join(self.include)}" if self.include else ""
        but = f" without {' '.join(self.exclude)}" if self.exclude else ""
        return f"{self.layers}{only}{but}"

    @property
    def patterns(self) -> tuple[str, ...]:
        """All patterns, of ``include`` and of ``exclude``."""
        return self.include + self.exclude

    def of(self, network: nn.Module) -> Layers:
        """List the layers of a network that are in scope. Layers whose weight is frozen are not.

        Args:
            network: Any network.

        Returns:
            Layers by name, in the order of the network.

        >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(8, 4), nn.Linear(4, 2))
        >>> [*Scope(layers="fc").of(network)], [*Scope(layers="all", exclude=("2",)).of(network)]
        (['1', '2'], ['0', '1'])
        """
        kind = PRUNABLE if self.layers == "all" else nn.Linear
        return {
            name: layer
            for name, layer in prunable(network).items()
            if isinstance(layer, kind)
            and layer.weight.requires_grad
            and (not self.include or matches(name, self.include))
            and not matches(name, self.exclude)
        }

    def weights_of(self, network: nn.Module) -> int:
        """Return the number of weights of the layers in scope.

        >>> Scope(layers="fc").weights_of(nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2)))
        40
        """
        return sum(layer.get_parameter("weight").numel() for layer in self.of(network).values())


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a name matches at least one shell pattern.

    >>> matches("layer1.conv", ["layer1.*"]), matches("layer1.conv", ["layer1"])
    (True, False)
    """
    return any(fnmatchcase(name, pattern) for pattern in patterns)
