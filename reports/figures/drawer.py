"""The process that draws the figures of a report: ``python -m switchbench.reports.figures.drawer``.

:class:`switchbench.reports.figures.process.DrawingProcess` starts it. It imports matplotlib, reads the
pickled arguments of :func:`draw_all` from its standard input, and draws. To its standard output it writes
None, or the OSError that has stopped it.
"""

import importlib
import os
import pickle
import signal
import sys

from switchbench.reports.figures.catalogue import draw_all
from switchbench.reports.figures.font import families

BACKENDS = ("svg", "pdf", "agg")


def main() -> None:
    """Draw one report. Without an order, its giver has nothing to draw, or is dead."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # removes what is temporary
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    for name in BACKENDS:
        importlib.import_module(f"matplotlib.backends.backend_{name}")
    families()  # once for all workers, and before there is anything to draw
    try:
        report, folder, material = pickle.load(sys.stdin.buffer)
    except EOFError:
        return
    answer = None
    try:
        draw_all(report, folder, material, _cores())
    except OSError as error:
        answer = error
    with answers:
        pickle.dump(answer, answers)


def _cores() -> int:
    """Return how many processes draw: those that the system forks safely."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


if __name__ == "__main__":
    main()
