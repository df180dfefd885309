"""The control that every comparison needs: no sparsification."""

from typing import Any

from switchbench.methods.contract import Method, register


@register("dense")
class Dense(Method):
    """Control: train the whole network under the same budget."""

    @classmethod
    def takes_target(cls, config: Any) -> bool:
        return False
