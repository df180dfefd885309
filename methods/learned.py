"""Learned parametrizations: the base of methods whose switches or thresholds learn with the weights."""

from abc import abstractmethod
from typing import Generic, TypeVar

from torch import Tensor, nn

from switchbench.methods.contract import Method, ParameterGroup

M = TypeVar("M", bound=nn.Module)


class LearnedParametrization(Method, Generic[M]):
    """Base: a module in front of every weight, whose parameters learn; it decides the density.

    A subclass says which module (:meth:`make`) and how its parameters learn (:meth:`group`).
    """

    learns_density = True

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        self.learned: dict[str, M] = self.parametrize(self.make)

    @abstractmethod
    def make(self, weight: Tensor) -> M:
        """Return the parametrization of a raw weight, a module that maps weights to weights."""

    @abstractmethod
    def group(self, parameters: list[nn.Parameter]) -> ParameterGroup:
        """Return the parameters of all parametrizations with their optimiser."""

    def parameter_groups(self) -> list[ParameterGroup]:
        return [self.group([p for each in self.learned.values() for p in each.parameters()])]
