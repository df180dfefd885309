"""The control that every comparison needs: no sparsification."""

from switchbench.methods.contract import Method, register


@register("dense")
class Dense(Method):
    """Control: train the whole network under the same budget."""

    learns_density = True
