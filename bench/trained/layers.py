"""A network layer by layer: what it holds and costs, and after training what is left of it."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from switchbench.measure.accounting import LayerCount, count_layers
from switchbench.measure.shrink import shrink
from switchbench.networks.layers import prunable
from switchbench.spec.components import DatasetChoice, NetworkChoice
from switchbench.spec.scope import Scope


@dataclass(frozen=True)
class Inspection:
    """A network's layers, and its totals."""

    layers: dict[str, LayerCount]
    scoped: frozenset[str]
    """Names of the layers in scope."""
    parameters: int
    alive: dict[str, int]
    """Outputs of each layer that do something; all of them where nothing is known."""
    smaller: dict[str, LayerCount]
    """The layers without dead units."""

    def total(self, name: str, inside: bool = False) -> int:
        """Sum of a column over all layers, or over those in scope."""
        return sum(getattr(c, name) for key, c in self.layers.items() if not inside or key in self.scoped)


def inspect_network(network: NetworkChoice, dataset: DatasetChoice, scope: Scope) -> Inspection:
    """A network as it is for a data set, before training. Raises MissingData and InputError."""
    facts = dataset.facts()
    built, image = network.sketch(facts.shape, facts.classes)
    return _inspection(built, scope, image, built)


def inspect_finished(network: nn.Module, scope: Scope, image: Tensor) -> Inspection:
    """A finished network, recounted."""
    return _inspection(network, scope, image, shrink(network, image))


def _inspection(network: nn.Module, scope: Scope, image: Tensor, smaller: nn.Module) -> Inspection:
    after = count_layers(smaller, image)
    return Inspection(
        layers=count_layers(network, image),
        scoped=frozenset(scope.of(network)),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        alive={name: layer.shape[0] for name, layer in after.items()},
        smaller=after,
    )


def picture(network: nn.Module, path: Path) -> None:
    """Draw the mask of every linear and convolution layer (outputs down, inputs across; a convolution's
    kernels side by side), dark where a weight is. Raises OSError or ValueError, which name the file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    layers = prunable(network)
    figure = Figure(figsize=(8, 2.2 * len(layers)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(layers), 1, squeeze=False).flatten()
    for panel, (name, layer) in zip(panels, layers.items(), strict=True):
        mask = (layer.get_parameter("weight").detach() != 0).flatten(1).float()
        panel.imshow(_shrunk(mask), cmap="Greys", vmin=0, aspect="auto", interpolation="nearest")
        panel.set_title(f"{name}: {mask.shape[0]} × {mask.shape[1]}, {mask.mean():.2%}", fontsize=9)
        panel.set_xticks([])
        panel.set_yticks([])
    figure.savefig(path, dpi=150)


def _shrunk(mask: Tensor, most: int = 1200) -> Tensor:
    """Large masks as means over blocks, so that a picture shows where they are dense."""
    steps = [-(-side // most) for side in mask.shape]
    pooled: Tensor = nn.functional.avg_pool2d(mask[None, None], steps, ceil_mode=True)[0, 0]
    return pooled
