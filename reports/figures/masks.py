"""Pictures of masks: for a first layer on images, the connections kept per pixel; for a layer, its matrix."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from switchbench.reports.figures.panels import EDGE, Entry, grid
from switchbench.reports.figures.settings import settings
from switchbench.reports.figures.style import DOUBLE, SINGLE

CAPTION = (
    "Connections of the first layer that are kept{where}, by pixel of the image: mean over seeds. All "
    "pictures share one scale, which is that of square roots, so that sparse pictures can be read."
)
BAR, MATRIX = 0.62, 1.7
"""Inches: room for the colour bar, height of a matrix."""


@settings()
def masks_figure(counts: Mapping[str, npt.ArrayLike], width: float | None = None) -> Figure | None:
    """Draw the connections kept per input pixel, one picture per method, with one colour scale.

    Args:
        counts: For each label, an array (height, width).
        width: Width in inches; default: one column for up to three pictures, or two.

    Returns:
        The figure; None without pictures.
    """
    images = {label: np.asarray(each, dtype=float) for label, each in counts.items()}
    images = {label: image for label, image in images.items() if image.ndim == 2 and image.size}
    if not images:
        return None
    width = width or (SINGLE if len(images) <= 3 else DOUBLE)
    columns = min(len(images), 3 if width < DOUBLE - 1 else 6 if len(images) <= 24 else 8)
    each = (width - 2 * EDGE - BAR) / columns - 0.14
    height = each * max(image.shape[0] / image.shape[1] for image in images.values())
    keys = [[Entry(label)] for label in images]
    made = grid(keys, width, [height], "", [""], columns=columns, left=EDGE, right=BAR, bottom=EDGE)
    most = max(max(float(np.nanmax(image)) for image in images.values() if np.isfinite(image).any()), 1e-9)
    scale = PowerNorm(0.5, 0, most)
    for (panel,), image in zip(made.panels, images.values(), strict=True):
        drawn = panel.imshow(image, cmap="viridis", norm=scale, interpolation="nearest")
        _bare(panel)
    box = made.panels[0][0].get_position()
    bar = made.figure.add_axes((1 - (BAR - 0.08) / width, box.y0, 0.08 / width, box.height))
    made.figure.colorbar(drawn, cax=bar)
    bar.yaxis.set_major_locator(MaxNLocator(3))
    return made.figure


@settings()
def matrices_figure(matrices: Mapping[str, npt.ArrayLike], width: float = DOUBLE) -> Figure:
    """Draw matrices below each other, such as the masks of a network's layers: dark where values are high.

    Args:
        matrices: For each title, an array (outputs, inputs).
        width: Width in inches.
    """
    keys = [[Entry(title)] for title in matrices]
    height = MATRIX if len(keys) <= 10 else MATRIX / 3
    made = grid(keys, width, [height], "", [""], columns=1, left=EDGE, right=EDGE, bottom=EDGE)
    for (panel,), matrix in zip(made.panels, matrices.values(), strict=True):
        panel.imshow(np.asarray(matrix), cmap="Greys", vmin=0, aspect="auto", interpolation="nearest")
        _bare(panel)
    return made.figure


def _bare(panel: Axes) -> None:
    """Remove ticks, and draw a frame."""
    panel.set_xticks([])
    panel.set_yticks([])
    panel.spines[:].set_visible(True)
