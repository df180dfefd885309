"""Base of methods whose masks follow a sparsity pattern, which is an option of theirs."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, model_validator
from torch import Tensor

from switchbench.methods.contract import Granularity
from switchbench.methods.masked import MaskedMethod
from switchbench.methods.options import Options, option
from switchbench.methods.parts import patterns
from switchbench.methods.parts.masks import Tensors
from switchbench.methods.parts.patterns import Pattern


def _valid(notation: str) -> str:
    patterns.parse(notation)
    return notation


class PatternOptions(Options):
    """Base of options with a sparsity pattern."""

    pattern: Annotated[str, AfterValidator(_valid)] = option(
        "unstructured", f"which weights are kept together: {patterns.ALLOWED}", inert=True
    )

    def sparsity_pattern(self) -> Pattern:
        """Return the pattern that the options describe. Raises ValueError if they do not go together."""
        return patterns.parse(self.pattern)

    @model_validator(mode="after")
    def _pattern_fits(self) -> Self:
        self.sparsity_pattern()
        return self


class PatternedMethod(MaskedMethod):
    """Base: a mask at a density, chosen by a score of every connection and the pattern of the options."""

    class Config(PatternOptions):
        """Options with a pattern."""

    @classmethod
    def pattern_of(cls, config: Any) -> Pattern:
        """Return the pattern that the options ask for: single connections, unless they have a pattern."""
        return config.sparsity_pattern() if isinstance(config, PatternOptions) else patterns.Unstructured()

    @classmethod
    def takes_target(cls, config: Any) -> bool:
        return cls.pattern_of(config).density is None

    @classmethod
    def granularity(cls, config: Any) -> Granularity:
        return cls.pattern_of(config).unit

    @property
    def final_density(self) -> float:
        """The density that follows from the pattern, or else the target."""
        return self.pattern.density or self.target

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        self.pattern = self.pattern_of(self.config).attached(self.network, batch[0])
        super().setup(batch)

    def select(self, scores: Tensors, density: float) -> Tensors:
        """Return masks at a density, given scores that are −∞ where a connection must stay pruned.

        Raises:
            ValueError: The scores of a layer are missing or have another shape than its weights. (A score per
                input unit is enough for whole neurons.)
        """
        for name, weight in self.weights.items():
            shape = tuple(scores[name].shape) if name in scores else None
            if shape != tuple(weight.shape) and not (self.pattern.unit == "neuron" and len(shape or ()) == 1):
                raise ValueError(f"layer {name!r}: scores of shape {shape} for weights {tuple(weight.shape)}")
        return self.pattern.select(scores, self.weights, density)
