"""Named settings of the switcher: the papers' methods, published kin, and the controls of any switcher."""

from typing import Any

from switchbench.methods.contract import register
from switchbench.methods.options import defaults, option
from switchbench.methods.switchers.saliency import FEATURES
from switchbench.methods.switchers.switcher import Switcher

UNLEARNED = {f"theta_{feature}": 0.0 for feature in FEATURES} | {"exponent": 0.25, "regenerate": 0.5}
"""What the switcher's reader starts from, where none of it was learned before."""


@register("switcher-paper")
class SwitcherPaper(Switcher):
    """The paper's switcher: U-Net readers gate every connection; density is what emerges.

    Han et al. 2021 (arXiv 2103.15590), details from the first author's published code: ReLU gates,
    cross-entropy alone, turns by epoch, plain SGD for the readers, which see the raw weights and
    let the weights' gradient through. Gates are recomputed at every step, which is faithful and
    costly. After training the gates (with batch norm's running statistics) are folded into the
    weights and the readers are gone. How the task network trains is the comparison's: the published
    code has SGD at 0.1 for both, divided by ten at 50 and 75 % of 100 epochs, batches of 64, no biases.

    Defaults: those of the published code, for the switcher's part.
    """

    version = 3

    @defaults(
        reader="unet",
        prior="none",
        learn=True,
        detach=False,
        gate="relu",
        schedule="epochs",
        sparsity="none",
        begin=0.0,
        keep_learning=0.25,
        reader_optimizer="sgd",
        **UNLEARNED,
    )
    class Config(Switcher.Config):
        end: float = option(
            1.0, "share of training in which the networks take turns", search=(0.4, 1.0), gt=0, le=1
        )
        reader_lr: float = option(0.1, "the readers' learning rate", search=(1e-4, 1.0), log=True, gt=0)


@register("switcher-neurons")
class SwitcherNeurons(SwitcherPaper):
    """The follow-up paper's switcher: U-Net readers gate the inputs of every layer, neurons included.

    Han et al. 2021 (arXiv 2110.05954): convolutions over whole rows of the U-Net's map give one
    ReLU gate per input unit; all else as in ``switcher-paper``. Connections that then lead
    nowhere are removed, which changes no output.

    Defaults: those of the published code.
    """

    @defaults(units="neuron")
    class Config(SwitcherPaper.Config):
        """The paper's options."""


@register("switcher-equivariant")
class SwitcherEquivariant(Switcher):
    """The switcher with a reader of single layers that commutes with permutations of rows and columns.

    What is added to log |w| depends on how large the weights of a connection's row and column are, and how
    many of them are on. The reader learns during the training, from the gates' gradient, and what is off
    comes back with the weight that it had.

    Defaults: the switcher's window; the rest as chosen at 2 % under Adam (Fashion-MNIST, validation images).
    """

    @defaults(
        reader="equivariant", prior="magnitude", learn=True, revive="kept", keep_learning=0.25, **UNLEARNED
    )
    class Config(Switcher.Config):
        """The switcher's options."""


@register("switcher-functional")
class SwitcherFunctional(SwitcherEquivariant):
    """The switcher with a neural functional network as its reader, which sees all layers at once.

    Zhou et al. 2023, *Permutation Equivariant Neural Functionals* (arXiv 2302.14040): three linear layers
    that commute with permutations of neurons, with ReLU between them. Theirs learn from many task networks,
    this one from the network that it switches, in the switcher's turns. Layers in scope must form a chain.

    Defaults: those of ``switcher-equivariant``, with 8 channels; not tuned.
    """

    @defaults(reader="functional", hidden=8)
    class Config(SwitcherEquivariant.Config):
        """The switcher's options."""


@register("switcher-graph")
class SwitcherGraph(SwitcherEquivariant):
    """The switcher with a graph metanetwork as its reader: neurons are nodes, and connections are edges.

    Lim et al. 2023, *Graph Metanetworks for Processing Diverse Neural Architectures* (arXiv 2312.04501), and
    for pruning Liu et al. 2025 (arXiv 2506.12041): in two rounds messages run between neurons along the
    connections, whose last state is the logits. Theirs learn from many task networks, this one from the
    network that it switches, in the switcher's turns. Layers in scope must form a chain.

    Defaults: those of ``switcher-equivariant``, with 8 channels; not tuned.
    """

    @defaults(reader="graph", hidden=8)
    class Config(SwitcherEquivariant.Config):
        """The switcher's options."""


@register("switcher-free-gates")
class SwitcherFreeGates(Switcher):
    """Control: the switcher's gates, schedule and budget, but free logits instead of a reader.

    What is added to log |w| is learned for each connection alone, from the gates' gradient; nothing grows,
    and no curvature is looked at. If it is equivalent to ``switcher``, then reader, curvature and growth
    together gain nothing.

    Defaults: the switcher's, but for what the logits need to learn.
    """

    version = 5  # above the switcher's

    @defaults(reader="free", prior="magnitude", learn=True, revive="never", temperature=1.0, **UNLEARNED)
    class Config(Switcher.Config):
        reader_lr: float = option(0.01, "the logits' learning rate", search=(1e-4, 1.0), log=True, gt=0)

    @classmethod
    def control_of(cls, config: Any) -> str:
        return "switcher"


@register("switcher-shuffled-weights")
class SwitcherShuffledWeights(Switcher):
    """Control: the switcher, but what its reader says of each layer's connections is shuffled.

    The prior stays. If it is equivalent to ``switcher``, it does not matter which connection the reader
    speaks of.

    Defaults: the switcher's.
    """

    version = 5  # above the switcher's

    @defaults(sees="shuffled")
    class Config(Switcher.Config):
        """The switcher's options."""

    @classmethod
    def control_of(cls, config: Any) -> str:
        return "switcher"


@register("switcher-fixed-exponent")
class SwitcherFixedExponent(Switcher):
    """Control: the switcher's schedule, budget and kind of growth, with a fixed rule in place of a reader.

    Connections are ranked by log |w| + exponent · log V, where V is a running mean of squared gradients, and
    nothing else is known of them. If it is equivalent to ``switcher``, the reader adds nothing to this rule.

    Defaults: the switcher's, but for the exponent and the share that grows, which for the switcher were
    searched with its reader.
    """

    version = 5  # above the switcher's

    @defaults(learn=False, **UNLEARNED)
    class Config(Switcher.Config):
        """The switcher's options."""

    @classmethod
    def control_of(cls, config: Any) -> str:
        return "switcher"


@register("switcher-constant-input")
class SwitcherConstantInput(Switcher):
    """Control: the switcher, but its reader sees constants, and its prior is log |w| alone.

    What is left is magnitude pruning with the switcher's schedule, and growth by the mean gradient alone. If
    it is equivalent to ``switcher``, then reader and curvature together gain nothing.

    Defaults: the switcher's.
    """

    version = 5  # above the switcher's

    @defaults(sees="constant", prior="magnitude")
    class Config(Switcher.Config):
        """The switcher's options."""

    @classmethod
    def control_of(cls, config: Any) -> str:
        return "switcher"
