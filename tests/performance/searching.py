"""What Optuna takes for a point of a search beside the point's trials, for each sampler.

One study of 40 points that searches the switcher's options grows from empty to full, without any training:
each point is asked for, stored, and told its result. The value is the mean over the points of a study.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict

from rich.console import Console

from performance.measurement import Measurement
from performance.trials import DENSITY
from switchbench.observe.terminal import PointDisplay
from switchbench.row import Row, Status
from switchbench.tuning.plan import plan
from switchbench.tuning.source import StudySource
from switchbench.tuning.storage import StudyStorage
from switchbench.tuning.study import Study

TITLE = "Searching"
POINTS = 40


def measure(pairs: int) -> Iterator[Measurement]:
    """Grow ``pairs`` studies with each sampler."""
    for sampler in ("tpe", "nsga2", "gp", "random"):
        values = [1e3 * statistics.fmean(search_overhead(sampler)) for _ in range(pairs)]
        yield Measurement(f"point of a search, {sampler}", values, "ms")


def search_overhead(sampler: str) -> list[float]:
    """Return the seconds of each point of a study."""
    spec = {
        "name": "overhead",
        "networks": ["lenet-300-100"],
        "datasets": ["digits"],
        "methods": ["switcher"],
        "densities": [DENSITY],
        "seeds": 1,
        "training": {"steps": 1},
        "search": {"points": POINTS, "sampler": sampler},
    }
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        planned = plan(spec, folder)
        planned.ledger.folder.mkdir(parents=True)
        storage = StudyStorage(str(planned.ledger.journal), None)
        space = planned.spaces["switcher"]
        study = Study(storage, "overhead", planned.config, space, planned.identity("switcher"))
        source = StudySource(planned, {"switcher": study}, PointDisplay(Console(quiet=True), POINTS, 0))
        for number in range(POINTS):
            started = time.perf_counter()
            point = source.ask()
            assert point
            row = Row(
                **asdict(point.trials[0].planned),
                status=Status.VALIDATED,
                steps=1,
                density=DENSITY,
                val_accuracy=number / POINTS,
            )
            source.tell(point, [row])
            taken.append(time.perf_counter() - started)
        study.close()
    return taken
