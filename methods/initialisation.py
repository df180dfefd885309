"""Pruning at initialisation: one mask before the first step, then plain training."""

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from switchbench.methods.contract import Progress, register
from switchbench.methods.options import option
from switchbench.methods.parts import scores
from switchbench.methods.parts.masks import Tensors
from switchbench.methods.patterned import PatternedMethod, PatternOptions

Batch = tuple[Tensor, Tensor]


class AtInitialisation(PatternedMethod):
    """Base: one mask, chosen before training by scores of all connections."""

    @abstractmethod
    def scores(self, batch: Batch) -> Tensors:
        """Score every connection of the untrained network on a batch of images and labels."""

    def setup(self, batch: Batch) -> None:
        super().setup(batch)
        masks = self.masks_for(batch)
        self.set_masks({name: mask.to(self.weights[name].dtype) for name, mask in masks.items()})

    def standing_masks(self, progress: Progress) -> Mapping[str, Tensor] | None:
        return self.masks

    def masks_for(self, batch: Batch) -> Tensors:
        """Return the masks at the final density."""
        return self.select(self.scores(batch), self.final_density)


@register("snip")
class SNIP(AtInitialisation):
    """Prune at initialisation by connection sensitivity |weight × gradient| on one batch.

    Lee, Ajanthan & Torr 2019, *SNIP: Single-shot Network Pruning based on Connection
    Sensitivity*. It has no hyperparameters but the pattern.
    """

    def scores(self, batch: Batch) -> Tensors:
        return scores.sensitivities(self.network, self.weights, batch)


@register("grasp")
class GraSP(AtInitialisation):
    """Prune at initialisation so that gradients still flow: keep large w · Hg.

    Wang, Zhang & Grosse 2020, *Picking Winning Tickets Before Training by Preserving Gradient
    Flow*: g and H are the gradient and the Hessian of the loss on one batch, with logits
    divided by ``temperature``.

    Defaults: chosen at 2 % under Adam (Fashion-MNIST, validation images).
    """

    class Config(PatternOptions):
        temperature: float = option(200.0, "divisor of the logits", search=(1, 1000), log=True, gt=0)

    def scores(self, batch: Batch) -> Tensors:
        weights = list(self.weights.values())
        g = scores.gradients(self.network, self.weights, batch, self.config.temperature)
        half_flow = torch.stack([(part * part.detach()).sum() for part in g]).sum()  # its gradient is Hg
        hessian_g = torch.autograd.grad(half_flow, weights)
        return {
            name: weight.detach() * product
            for (name, weight), product in zip(self.weights.items(), hessian_g, strict=True)
        }


@register("synflow")
class SynFlow(AtInitialisation):
    """Prune at initialisation, without data, by each connection's share of the synaptic flow.

    Tanaka et al. 2020, *Pruning neural networks without any data by iteratively conserving
    synaptic flow*: R sums the outputs for an input of ones in the network of absolute weights
    (no biases, norms as they start); a connection scores |w| · ∂R/∂|w|. Density falls
    exponentially in ``iterations`` steps, so that no layer is emptied.

    Defaults: chosen at 2 % under Adam (Fashion-MNIST, validation images).
    """

    class Config(PatternOptions):
        iterations: int = option(
            100, "pruning steps on the way to the target", search=(10, 200), log=True, ge=1
        )

    def masks_for(self, batch: Batch) -> Tensors:
        training = self.network.training
        self.network.eval()
        self.masks = {name: torch.ones_like(weight) for name, weight in self.weights.items()}
        for step in range(1, self.config.iterations + 1):
            density = self.final_density ** (step / self.config.iterations)
            self.masks = self.select(self.surviving(self.scores(batch)), density)
        self.network.train(training)
        return dict(self.masks)

    def scores(self, batch: Batch) -> Tensors:
        """Return |w| · ∂R/∂|w| under the present masks, as doubles: products over layers are small."""
        ones = torch.ones_like(batch[0][:1], dtype=torch.float64)
        scoped = {f"{name}.weight": name for name in self.layers}
        state = {}
        for name, tensor in (
            dict(self.network.named_parameters()) | dict(self.network.named_buffers())
        ).items():
            value = tensor.detach().double() if tensor.is_floating_point() else tensor
            if name in scoped:
                value = (value.abs() * self.masks[scoped[name]]).requires_grad_()
            elif isinstance(tensor, nn.Parameter):
                value = value.new_zeros(value.shape) if name.endswith("bias") else value.abs()
            state[name] = value
        total = functional_call(self.network, state, (ones,)).sum()
        found = torch.autograd.grad(total, [state[name] for name in scoped])
        return {
            layer: (state[name].detach() * gradient)
            for (name, layer), gradient in zip(scoped.items(), found, strict=True)
        }
