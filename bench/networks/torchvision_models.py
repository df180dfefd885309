"""Any image classifier of torchvision, by its name there."""

from typing import Any, Self

from pydantic import model_validator
from torch import nn

from switchbench.errors import unknown
from switchbench.methods import option
from switchbench.networks.registry import InputShape, Network, register

EXTRA_ARGUMENTS: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}
"""Arguments by model name. Without them, these models also return the logits of auxiliary classifiers."""


@register("torchvision")
class Torchvision(Network):
    """Any classifier of torchvision by its name there (`model: efficientnet_b0`), freshly initialised.

    Made for large images. For images of other than three channels, the first convolution is replaced.
    """

    class Config(Network.Config):
        model: str = option("resnet50", "name in torchvision.models")

        @model_validator(mode="after")
        def _known(self) -> Self:
            from torchvision import models

            names = models.list_models(module=models)
            if self.model not in names:
                raise ValueError(f"model: {unknown('torchvision model', self.model, names)}")
            return self

    @classmethod
    def build(cls, input_shape: InputShape, classes: int, config: Config) -> nn.Module:
        from torchvision import models

        channels, height, width = input_shape
        arguments = EXTRA_ARGUMENTS.get(config.model, {})
        if config.model.startswith("vit_"):
            if height != width:
                raise ValueError(f"{config.model} takes square images, not {height}×{width}")
            arguments = {"image_size": height}
        network: nn.Module = models.get_model(config.model, weights=None, num_classes=classes, **arguments)
        if channels != 3:
            _replace_first_convolution(network, channels)
        return network


def _replace_first_convolution(network: nn.Module, channels: int) -> None:
    first: Any
    name, first = next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    parent, _, attribute = name.rpartition(".")
    replacement = nn.Conv2d(
        channels,
        first.out_channels,
        first.kernel_size,
        first.stride,
        first.padding,
        bias=first.bias is not None,
    )
    setattr(network.get_submodule(parent), attribute, replacement)
