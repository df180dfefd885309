"""How long a comparison will take, from the speed of a few steps on this machine."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from switchbench.observe.terminal import duration

if TYPE_CHECKING:
    from switchbench.spec.comparison import Resources
    from switchbench.spec.trial import TrialConfig
    from switchbench.trial.estimate import Estimate


@dataclass(frozen=True)
class Pace:
    """How fast trials run on this machine."""

    at_once: int
    """Trials at the same time."""
    tflops: float
    """10^12 FLOPs per second of one of them; NaN if it cannot be told."""
    measured: bool

    @classmethod
    def of(
        cls,
        trials: "Sequence[TrialConfig]",
        resources: "Resources",
        tflops: float | None,
        jobs: int | None = None,
    ) -> Self:
        """Measure the pace of a comparison, that of its slowest network, unless the speed is given.

        Args:
            trials: The trials to run.
            resources: What each needs.
            tflops: The speed, if it is known.
            jobs: Largest number of trials at the same time; 0 is one, in this process.
        """
        from switchbench.cluster.machine import capacity, check_jobs, this_machine

        check_jobs(jobs)
        most = len(trials) if jobs is None else min(len(trials), jobs)
        at_once = 1 if resources.gpus else min(capacity(resources, this_machine()), max(1, most))
        if tflops is not None or not trials:
            return cls(at_once, tflops or math.nan, measured=False)
        import torch

        from switchbench.trial.speed import flops_per_second

        if resources.gpus and not torch.cuda.is_available():
            return cls(at_once, math.nan, measured=False)
        device = "cuda" if resources.gpus else "cpu"
        one_of_each = {trial.network.label: trial for trial in trials}.values()
        speeds = [flops_per_second(trial, at_once, resources.cpus, device) for trial in one_of_each]
        return cls(at_once, min(speeds) / 1e12, measured=True)

    def time(self, estimate: "Estimate", at_once: int = 1) -> str:
        """Return the time of trials in words; empty if it cannot be told."""
        hours = estimate.hours(self.tflops) / at_once
        return "" if math.isnan(hours) else duration(3600 * hours)

    def __str__(self) -> str:
        if math.isnan(self.tflops):
            return "time: unknown, as no trial could be timed here; say how fast one is with --tflops"
        how = "measured on this machine, now" if self.measured else "--tflops"
        return f"time: of gradient steps, one trial after the other, at {self.tflops:.3g} TFLOP/s ({how})"
