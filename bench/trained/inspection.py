"""Inspect a network layer by layer: its size and cost, and after training what remains of it."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from switchbench.measure.counting import LayerCount, count_layers
from switchbench.measure.shrink import shrink
from switchbench.networks.layers import prunable
from switchbench.spec.components import DatasetChoice, NetworkChoice
from switchbench.spec.scope import Scope


@dataclass(frozen=True)
class Inspection:
    """Counts of a network's layers."""

    layers: dict[str, LayerCount]
    """Linear and convolution layers by name."""
    scoped: frozenset[str]
    """Names of the layers in scope."""
    parameters: int
    """Number of all parameters, biases and norms included."""
    alive: dict[str, int]
    """Number of outputs of each layer that are not dead; all outputs if that is not known."""
    smaller: dict[str, LayerCount]
    """The layers after dead units are removed."""

    def total(self, attribute: str, scoped: bool = False) -> int:
        """Sum an attribute of :class:`LayerCount` over all layers, or over the layers in scope."""
        return sum(getattr(layer, attribute) for layer in self._summed(scoped))

    def counted(self, scoped: bool = False) -> bool:
        """Whether MACs are known of all layers, or of those in scope: each was called for the image."""
        return all(layer.positions for layer in self._summed(scoped))

    def _summed(self, scoped: bool) -> list[LayerCount]:
        return [layer for name, layer in self.layers.items() if not scoped or name in self.scoped]


def inspect_network(network: NetworkChoice, dataset: DatasetChoice, scope: Scope) -> Inspection:
    """Inspect a network before training, built for the images of a data set.

    Args:
        network: The network and its options.
        dataset: Gives the shape of images and the number of classes.
        scope: The layers in scope.

    Raises:
        MissingData: The size of the data set is not known, and its files are not on this machine.
        InputError: The network cannot take such images.
    """
    facts = dataset.facts()
    built, image = network.sketch(facts.shape, facts.classes)
    return _inspection(built, scope, image, built)


def inspect_finished(network: nn.Module, scope: Scope, image: Tensor) -> Inspection:
    """Inspect a finished network.

    Args:
        network: A network with plain weights and exact zeros.
        scope: The layers in scope.
        image: An example image, (1, channels, height, width).
    """
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
    """Draw the mask of every linear and convolution layer: dark where weights are not zero.

    Rows are outputs and columns are inputs; kernels of a convolution stand side by side.

    Args:
        network: A finished network.
        path: A picture file; its ending names the format.

    Raises:
        OSError: The file cannot be written.
        ValueError: matplotlib does not know the format.
    """
    from switchbench.reports.figures.masks import matrices_figure  # imports matplotlib
    from switchbench.reports.figures.settings import save_as

    masks = {
        name: (layer.get_parameter("weight").detach() != 0).flatten(1).float()
        for name, layer in prunable(network).items()
    }
    titles = [f"{name}: {mask.shape[0]} × {mask.shape[1]}, {mask.mean():.2%}" for name, mask in masks.items()]
    pictures = [_downsampled(mask).numpy() for mask in masks.values()]
    save_as(matrices_figure(dict(zip(titles, pictures, strict=True))), path)


def _downsampled(mask: Tensor, limit: int = 1200) -> Tensor:
    """Average a large mask over blocks, so that its picture shows where it is dense."""
    steps = [-(-side // limit) for side in mask.shape]
    pooled: Tensor = nn.functional.avg_pool2d(mask[None, None], steps, ceil_mode=True)[0, 0]
    return pooled
