"""Check that a network can be compared: it is built by the seed alone, trains, and can be loaded again."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from switchbench.networks.layers import prunable, unused
from switchbench.plugins.outcome import Outcome, named, require, run_checks
from switchbench.spec.components import NetworkChoice
from switchbench.trial.outcomes import Skipped

SHAPES = ((1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 224, 224))
"""Shapes of images on which a network is tried; it must take one of them."""
CLASSES = 10
BATCH = 4


class Case:
    """A network with its options, and the smallest images that it takes."""

    def __init__(self, choice: NetworkChoice) -> None:
        self.choice = choice
        self.shape, self.reasons = self._shape()

    def build(self, classes: int = CLASSES, seed: int = 0) -> nn.Module:
        """Build the network. Raises Skipped if it takes none of the shapes."""
        if self.shape is None:
            raise Skipped("it takes none of the images that are tried")
        torch.manual_seed(seed)
        return self.choice.build(self.shape, classes)

    def images(self) -> Tensor:
        """Return some random images."""
        assert self.shape
        return torch.randn((BATCH, *self.shape), generator=torch.Generator().manual_seed(0))

    def _shape(self) -> tuple[tuple[int, int, int] | None, list[str]]:
        reasons = []
        for shape in SHAPES:
            try:
                with torch.no_grad(), torch.random.fork_rng(devices=[]):
                    self.choice.build(shape, CLASSES).eval()(torch.zeros(1, *shape))
            except Exception as error:  # a network may raise anything
                reasons.append(f"{shape}: {type(error).__name__}: {error}")
            else:
                return shape, reasons
        return None, reasons


def takes_images(case: Case) -> None:
    """Check that the network takes images of a usual shape."""
    require(case.shape is not None, f"it takes no images; {'; '.join(case.reasons)}"[:500])


def answers_with_one_number_for_each_class(case: Case) -> None:
    """Check that outputs are (images, classes), for several numbers of classes."""
    for classes in (2, CLASSES, 100):
        network = case.build(classes).eval()
        with torch.no_grad():
            found = tuple(network(case.images()).shape)
        require(found == (BATCH, classes), f"{BATCH} images and {classes} classes give outputs {found}")


def is_built_by_the_seed_alone(case: Case) -> None:
    """Check that the same state of torch's random numbers gives the same first weights."""
    one, other = case.build().state_dict(), case.build().state_dict()
    differing = [name for name, tensor in one.items() if not torch.equal(tensor, other[name])]
    require(not differing, f"built twice from one seed, it differs in {', '.join(differing)}")


def has_layers_that_can_be_sparse(case: Case) -> None:
    """Check that it has linear layers or convolutions, and that all of them take part in the output."""
    network = case.build()
    require(bool(prunable(network)), "it has no linear layer and no convolution")
    idle = [*unused(network.eval(), case.images()[:1])]
    require(not idle, f"layers take no part in the output: {', '.join(idle)}")


def trains(case: Case) -> None:
    """Check that every weight gets a finite gradient."""
    network = case.build().train()
    labels = torch.arange(BATCH) % CLASSES
    loss = F.cross_entropy(network(case.images()), labels)
    loss.backward()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            require(parameter.grad is not None, f"{name} gets no gradient")
            assert parameter.grad is not None
            require(bool(parameter.grad.isfinite().all()), f"the gradient of {name} is not finite")


def answers_alike_in_evaluation(case: Case) -> None:
    """Check that in eval mode an image has the same output twice, and whatever images stand beside it."""
    network, images = case.build().eval(), case.images()
    with torch.no_grad():
        together, again, alone = network(images), network(images), network(images[:1])
    require(torch.equal(together, again), "in eval mode the same images have different outputs")
    near = torch.allclose(together[:1], alone, rtol=1e-3, atol=1e-4)
    require(near, "in eval mode an image's output depends on the images beside it")


def can_be_stored(case: Case) -> None:
    """Check that a copy, and a new network with the stored state, have the same outputs."""
    network, images = case.build().eval(), case.images()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.01)
    other = case.build(seed=1).eval()
    other.load_state_dict(network.state_dict())
    with torch.no_grad():
        expected = network(images)
        require(
            torch.equal(other(images), expected), "its state dict does not hold all that it computes with"
        )
        require(torch.equal(copy.deepcopy(network)(images), expected), "a copy of it has other outputs")


CHECKS = named(
    takes_images,
    answers_with_one_number_for_each_class,
    is_built_by_the_seed_alone,
    has_layers_that_can_be_sparse,
    trains,
    answers_alike_in_evaluation,
    can_be_stored,
)
"""All checks by name, in the order in which they run."""


def check(choice: NetworkChoice) -> list[Outcome]:
    """Run every check on a network.

    Args:
        choice: The network with its options.

    Returns:
        One outcome per check, in the order of :data:`CHECKS`.
    """
    with torch.random.fork_rng(devices=[]):
        return run_checks(CHECKS, Case(choice))
