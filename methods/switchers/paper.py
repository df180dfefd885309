"""The switcher of the paper: U-Net readers, ReLU gates, cross-entropy alone, alternating epochs."""

from collections.abc import Collection
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.utils import parametrize

from switchbench.methods.contract import (
    OTHERS,
    WEIGHTS,
    Layers,
    Method,
    ParameterGroup,
    Progress,
    option,
    register,
)
from switchbench.methods.switchers.unet import UNet

READER = "reader"
READER_NORMS = "reader-norms"


class ReadGate(nn.Module):
    """Parametrization W ↦ W ⊙ relu(U-Net(W)): zero switches off, a positive gate scales.

    The reader sees the raw weights (inputs × outputs, as in the published code), neither
    normalised nor detached, so the weights' gradient also flows through the reader.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        outputs, inputs = weight.shape
        self.reader = UNet(inputs, outputs)

    def forward(self, weight: Tensor) -> Tensor:
        gate: Tensor = self.reader(weight.T).relu().T
        return weight * gate


@register("switcher-paper")
class SwitcherPaper(Method):
    """The paper's switcher: U-Net readers gate every connection; density is what emerges.

    Han et al. 2021 (arXiv 2103.15590), details from the first author's published code. Epochs
    0, 2, … train the gated weights with the readers frozen, epochs 1, 3, … the readers with
    those weights frozen; batch norms and ungated parameters learn throughout. Gates are
    recomputed at every step, which is faithful and costly. After training the gates (with batch
    norm's running statistics) are folded into the weights and the readers are gone.
    """

    class Config(Method.Config):
        reader_optimizer: Literal["sgd", "adam"] = option("sgd", "the readers' optimiser")
        reader_lr: float = option(0.1, "the readers' learning rate", search=(1e-4, 1.0), log=True, gt=0)

    config: Config

    @classmethod
    def takes_target(cls, config: Any) -> bool:
        return False

    @classmethod
    def skip(cls, config: Any, network: nn.Module, layers: Layers) -> str | None:
        odd = [name for name, layer in layers.items() if not isinstance(layer, nn.Linear)]
        return f"reads fully connected layers only, not {odd[0]}" if odd else None

    def attach(self, network: nn.Module, layers: Layers, batch: tuple[Tensor, Tensor]) -> None:
        super().attach(network, layers, batch)
        self.readers = nn.ModuleList()
        for name, weight in self.weights.items():
            # The global generator serves initialisers of torch; the trial has seeded it.
            gate = ReadGate(weight).to(batch[0].device)
            parametrize.register_parametrization(layers[name], "weight", gate)
            self.readers.append(gate)

    def parameter_groups(self) -> list[ParameterGroup]:
        kernels: list[nn.Parameter] = []
        norms: list[nn.Parameter] = []
        for module in self.readers.modules():
            group = norms if isinstance(module, nn.BatchNorm2d) else kernels
            group += module.parameters(recurse=False)
        settings = self.config.reader_optimizer, self.config.reader_lr
        return [ParameterGroup(READER, kernels, *settings), ParameterGroup(READER_NORMS, norms, *settings)]

    def learning(self, progress: Progress) -> Collection[str]:
        return {OTHERS, READER_NORMS, WEIGHTS if progress.epoch % 2 == 0 else READER}
