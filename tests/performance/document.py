"""docs/performance.md and its figure, from the stored measurements."""

import inspect
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType

import matplotlib
from matplotlib.figure import Figure

from performance import TOPICS
from performance.measurement import Measurement
from performance.records import DOCS, Section

HEAD = f"""# What switchbench costs

`make benchmark` measures all of this and writes this page, tables and figure, in one to two hours on an idle
machine. `make benchmark TOPICS="training methods"` measures some sections again; the topics are
{", ".join(TOPICS)}. In a checkout it
replaces the numbers of this page by yours; `git checkout docs` brings these back. Values are medians over
repeated measurements, with the lowest and the highest behind them. A ratio (×) compares two things that ran
one after the other in the same run. Everything runs as in a worker, which keeps freed memory. Absolute times
are those of the machine that a section names, which is shared with other virtual machines: compare them with
one another only.

![Ratios](performance.svg)
"""


def write(sections: Iterable[Section]) -> None:
    """Write the page and the figure."""
    sections = list(sections)
    text = "\n".join([HEAD, *(_section(section) for section in sections)])
    (DOCS / "performance.md").write_text(text, encoding="utf-8")
    _draw(sections)


def line(measurement: Measurement) -> str:
    """Return a measurement as one line for the terminal."""
    limit = f" (aim: {measurement.limit})" if measurement.limit else ""
    return f"{measurement.name:70} {_value(measurement)}{limit}"


def _section(section: Section) -> str:
    with_limits = any(row.limit for row in section.measurements)
    head = ["", "median", "lowest to highest", "n", *(["aim"] if with_limits else [])]
    rows = [_cells(row, with_limits) for row in section.measurements]
    table = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    lines = ["| " + " | ".join(cells) + " |" for cells in table]
    module, place = _module(section), f"Measured {section.date} on {section.machine}."
    text = inspect.cleandoc(module.__doc__ or "")
    return "\n".join([f"## {module.TITLE}\n", text, "", *lines, "", place, ""])


def _module(section: Section) -> ModuleType:
    """Return the module that has the section's title, and its text as the docstring."""
    return import_module(f"performance.{section.topic}")


def _cells(row: Measurement, with_limits: bool) -> list[str]:
    spread = f"{_number(min(row.values))} to {_number(max(row.values))}" if len(row.values) > 1 else ""
    aim = row.limit if row.met is None or row.met else f"{row.limit}, missed"
    unit = "" if row.unit == "×" else f" {row.unit}"
    median = _number(row.median)
    if row.met is False and float(median) == float(row.limit.split()[-1]):
        median = f"{row.median:#.4g}"  # else it would look as if it were met
    return [
        row.name,
        f"{median}{unit}",
        spread,
        str(len(row.values)),
        *([aim] if with_limits else []),
    ]


def _value(row: Measurement) -> str:
    unit = "×" if row.unit == "×" else f" {row.unit}"
    spread = f", {_number(min(row.values))} to {_number(max(row.values))}" if len(row.values) > 1 else ""
    return f"{_number(row.median)}{unit} (n = {len(row.values)}{spread})"


def _number(value: float) -> str:
    """Three digits, and no fraction of large numbers.

    >>> [_number(value) for value in (0.01234, 1.034, 12.34, 1234.5)]
    ['0.0123', '1.03', '12.3', '1,234']
    """
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value < 1 else f"{value:#.3g}"


def _draw(sections: list[Section]) -> None:
    """Draw all ratios: median, spread and aim, one panel per section."""
    panels = {
        _module(section).TITLE: ratios
        for section in sections
        if (ratios := [row for row in section.measurements if row.unit == "×"])
    }
    if not panels:
        return
    heights = [len(rows) + 1.5 for rows in panels.values()]
    figure = Figure(figsize=(7.5, 0.2 * sum(heights) + 0.6), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (title, rows) in zip(axes, panels.items(), strict=True):
        axis.set_title(title, fontsize=8, loc="left")
        for place, row in enumerate(rows):
            axis.plot([min(row.values), max(row.values)], [place, place], color="#4477aa", linewidth=1.5)
            axis.plot(row.median, place, "o", color="#4477aa", markersize=4)
            if row.limit:
                axis.plot(float(row.limit.split()[1]), place, "|", color="#cc3311", markersize=9)
        axis.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=6)
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter("{x:g}")
        axis.tick_params(axis="x", which="both", labelsize=6)
        axis.axvline(1, color="#bbbbbb", linewidth=0.8, zorder=0)
    figure.supxlabel("ratio (dot: median, line: lowest to highest, red: aim)", fontsize=7)
    with matplotlib.rc_context({"svg.hashsalt": "switchbench"}):
        figure.savefig(DOCS / "performance.svg", metadata={"Date": None})
