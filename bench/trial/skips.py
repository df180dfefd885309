"""Why a trial is skipped: known before it runs, from the network's layers and the method's options alone."""

from torch import nn

from switchbench.methods import Method
from switchbench.methods.parts.layers import Layers
from switchbench.spec.trial import TrialConfig


def reason_to_skip(config: TrialConfig, network: nn.Module, layers: Layers) -> str | None:
    """Return why the method of a trial cannot handle a network; None if it can.

    Args:
        config: The trial.
        network: Its network, whose weights need no values.
        layers: The network's layers in scope.
    """
    if not layers:
        return f"network {config.network.label!r} has no layer in scope {str(config.scope)!r}"
    method: type[Method] = config.method.registered
    return method.skip(config.method.config, network, layers)
