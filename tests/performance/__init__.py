"""What switchbench costs, measured as ratios within one run. ``make benchmark`` runs it and writes
docs/performance.md.

A topic is a module with a docstring (the text of its section), ``TITLE`` and ``measure(pairs)``. Nothing here
judges: timings on a shared machine are no test. Each limit stands beside what was measured.
"""

TOPICS: tuple[str, ...] = (
    "training",
    "methods",
    "sparse",
    "unet",
    "batched",
    "start",
    "spreading",
    "searching",
    "reporting",
    "gpu",
)
"""The modules with measurements, in the order of the sections."""
