"""Training on the kept connections alone, in the steps in which a method only holds its masks.

The layers that are sparse enough compute with CSR products, and the optimiser updates a vector of their kept
weights. Everything else is as with dense kernels. Between two phases the dense weights and the optimiser's
state are complete, so that evaluation, checkpoints and methods see nothing of this.
"""

from collections.abc import Collection, Mapping
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from switchbench.methods import Layers, Method
from switchbench.methods.contract import OTHERS, WEIGHTS
from switchbench.trial.csr_products import Connections, CSRProducts
from switchbench.trial.optimisers import Optimisers

PAYS_UP_TO = 0.1
"""Density up to which CSR products of a layer take less time than dense ones: docs/performance.md."""


def standing_masks_hold(method: type[Method]) -> bool:
    """Tell whether a method's standing masks account for all that it does in a step.

    A subclass that adds to a step, with a penalty for instance, must say itself when its masks stand: what it
    inherits does not know of that.
    """

    def depth(name: str) -> int:
        return next(place for place, each in enumerate(method.__mro__) if name in vars(each))

    hooks = ("before_step", "penalty", "after_backward", "after_step")
    return all(depth("standing_masks") <= depth(hook) for hook in hooks)


class SparseKernels:
    """Switches layers between dense and sparse kernels."""

    def __init__(self, layers: Layers, weights: Mapping[str, nn.Parameter], optimisers: Optimisers) -> None:
        """Begin with dense kernels.

        Args:
            layers: The layers in scope, by name.
            weights: Their raw weights.
            optimisers: The optimisers of the training.
        """
        self._layers, self._weights, self._optimisers = layers, weights, optimisers
        self._masks: Mapping[str, Tensor] = {}
        """The masks that :attr:`_connections` belongs to."""
        self._connections: dict[str, Connections] = {}
        """Connections of the layers that these masks make sparse enough."""
        self._values: dict[str, nn.Parameter] = {}
        """Kept weights by layer, while sparse kernels are in use."""

    def hold(self, masks: Mapping[str, Tensor] | None, learning: Collection[str] | None) -> bool:
        """Use sparse kernels for a step if its masks stand still and are sparse enough, else dense ones.

        Args:
            masks: The masks that the step only has to keep (:meth:`Method.standing_masks`), or None.
            learning: The groups that learn in it; None: all.

        Returns:
            Whether sparse kernels are in use.
        """
        all_learn = learning is None or {WEIGHTS, OTHERS} <= {*learning}
        if not masks or not all_learn:
            self.release()
            return False
        if masks is not self._masks:
            self.release()
            self._masks, self._connections = masks, self._worthwhile(masks)
        if self._connections and not self._values:
            self._take()
        return bool(self._values)

    @torch.no_grad()
    def after_backward(self) -> None:
        """Mask the gradients of the layers in scope that have dense kernels.

        Raises:
            RuntimeError: The network uses a layer's weight by itself, without calling the layer.
        """
        for name, values in self._values.items():
            if values.grad is None or self._weights[name].grad is not None:
                raise RuntimeError(
                    f"kernels: sparse kernels cannot train layer {name!r}, whose weight is used by others"
                )
        for name in self._dense:
            gradient = self._weights[name].grad
            if gradient is not None:
                gradient.mul_(self._masks[name])

    @torch.no_grad()
    def after_step(self) -> None:
        """Mask the weights of the layers in scope that have dense kernels."""
        for name in self._dense:
            self._weights[name].mul_(self._masks[name])

    @property
    def _dense(self) -> set[str]:
        """Names of the layers in scope that have dense kernels."""
        return self._masks.keys() - self._values.keys()

    @torch.no_grad()
    def release(self) -> None:
        """Return to dense kernels: write the kept weights and their optimiser state back."""
        for name, values in self._values.items():
            del self._layers[name].forward
            self._optimisers.widen(values, self._weights[name], self._connections[name].index)
        self._values = {}

    @torch.no_grad()
    def _take(self) -> None:
        for name, connections in self._connections.items():
            values = self._optimisers.narrow(self._weights[name], connections.index)
            layer = self._layers[name]
            bias, weight = cast(Tensor | None, layer.bias), connections.matrix(values.detach())
            offset = None if bias is None else bias.detach()[:, None]
            layer.forward = partial(_forward, values, bias, weight, offset, connections)
            self._values[name] = values

    def _worthwhile(self, masks: Mapping[str, Tensor]) -> dict[str, Connections]:
        """Return the connections of the layers whose kernels become sparse.

        None if many weights are kept, on a GPU, and where PyTorch has no library for CSR products.
        """
        on_cpu = all(mask.device.type == "cpu" for mask in masks.values())
        if not on_cpu or not torch.backends.mkl.is_available():
            return {}
        kept = {name: int(mask.count_nonzero()) for name, mask in masks.items()}
        if sum(kept.values()) > PAYS_UP_TO * sum(mask.numel() for mask in masks.values()):
            return {}
        return {
            name: Connections(mask)
            for name, mask in masks.items()
            if kept[name] <= PAYS_UP_TO * mask.numel()
            and self._weights[name].requires_grad
            and mask.dtype == torch.float32
            and parametrize.type_before_parametrizations(self._layers[name]) is nn.Linear
        }


def _forward(
    values: nn.Parameter,
    bias: Tensor | None,
    weight: Tensor,
    offset: Tensor | None,
    connections: Connections,
    inputs: Tensor,
) -> Tensor:
    """Return the outputs (…, outputs) of inputs (…, inputs)."""
    if inputs.dim() == 2:  # nearly always: two views are a tenth of a small layer's time
        product: Tensor = CSRProducts.apply(inputs, values, bias, weight, offset, connections)
        return product
    flat = inputs.reshape(-1, inputs.shape[-1])
    outputs: Tensor = CSRProducts.apply(flat, values, bias, weight, offset, connections)
    return outputs.reshape(*inputs.shape[:-1], -1)
