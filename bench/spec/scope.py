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
    """A kind of layers, and patterns of their names: ``fc``, ``all``, or ``{layers: all, exclude: [conv1]}``.

    ``fc`` are the fully connected layers (the switcher paper's setting), ``all`` convolutions as well.
    Patterns are the shell's (``layer1.*``) and apply to names in the network.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layers: Literal["fc", "all"] = "all"
    include: tuple[str, ...] = Field((), description="where given, only layers whose names match one")
    exclude: tuple[str, ...] = Field((), description="layers whose names match one are left out")

    @model_validator(mode="before")
    @classmethod
    def _kind_alone(cls, raw: Any) -> Any:
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
        """All of its patterns."""
        return self.include + self.exclude

    def of(self, network: nn.Module) -> Layers:
        """List the layers of a network that are in scope.

        Args:
            network: Any network.

        Returns:
            Layers by their names in the network, in its order.

        >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(8, 4), nn.Linear(4, 2))
        >>> [*Scope(layers="fc").of(network)], [*Scope(layers="all", exclude=("2",)).of(network)]
        (['1', '2'], ['0', '1'])
        """
        kind = PRUNABLE if self.layers == "all" else nn.Linear
        return {
            name: layer
            for name, layer in prunable(network).items()
            if isinstance(layer, kind)
            and (not self.include or matches(name, self.include))
            and not matches(name, self.exclude)
        }


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name matches one of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)
