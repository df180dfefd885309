"""Target densities that the calibration runs of a comparison did not meet."""

from dataclasses import dataclass

from switchbench.words import plural


@dataclass(frozen=True)
class Unreached:
    """A target density that no calibration run of a method met."""

    what: str
    """Method, task and target."""
    trainings: int
    """Trial trainings that were made for it."""
    error: str | None
    """Why a calibration run failed; None if none did."""

    def __str__(self) -> str:
        if self.error:
            return f"{self.what}: a calibration run failed: {self.error}"
        return f"{self.what}: no strength met this density in {plural(self.trainings, 'calibration run')}"
