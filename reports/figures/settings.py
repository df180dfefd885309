"""How figures are drawn and written: matplotlib's settings, and the file formats."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib import rc_context, rcParams, rcParamsDefault
from matplotlib.figure import Figure

from switchbench.reports.figures.font import families
from switchbench.reports.figures.style import MEDIUM, SMALL

PNG_DPI = 300
FORMATS: dict[str, dict[str, Any]] = {
    ".svg": {"metadata": {"Date": None}},
    ".pdf": {"metadata": {"CreationDate": None}},
    ".png": {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 1}},
}
"""The formats with their options: no dates, so that files can be compared; fast compression."""

SETTINGS: dict[Any, Any] = {
    "font.size": SMALL,
    "text.parse_math": False,  # a dollar sign is a dollar sign
    "axes.labelsize": MEDIUM,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "axes.formatter.useoffset": False,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.6,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "svg.fonttype": "path",  # shapes, which look the same everywhere; the PDF has text that can be searched
    "svg.hashsalt": "switchbench",  # the same results give identical bytes
    "pdf.fonttype": 42,  # TrueType, which journals ask for
}
DEFAULTS: dict[Any, Any] = {
    name: value for name, value in rcParamsDefault.items() if not name.startswith("backend")
}


@contextmanager
def settings() -> Iterator[None]:
    """Draw with our settings, whatever the user's own settings of matplotlib are; also a decorator."""
    with rc_context():
        rcParams.update(DEFAULTS | SETTINGS | {"font.family": families()})
        yield


def save(figure: Figure, stem: Path) -> None:
    """Write a figure as SVG, PDF and PNG. The same figure gives identical bytes.

    Args:
        figure: A figure of this package.
        stem: Path of the files without their ending.

    Raises:
        OSError: A file cannot be written.
    """
    for ending in FORMATS:
        save_as(figure, Path(f"{stem}{ending}"))


@settings()
def save_as(figure: Figure, path: Path) -> None:
    """Write a figure to one file, whose ending names the format.

    Raises:
        OSError: The file cannot be written.
        ValueError: matplotlib does not know the format.
    """
    drawn = BytesIO()  # on a full disk matplotlib's PDF would end in an error of its own
    figure.savefig(drawn, format=path.suffix[1:] or "png", dpi=PNG_DPI, **FORMATS.get(path.suffix, {}))
    path.write_bytes(drawn.getbuffer())
