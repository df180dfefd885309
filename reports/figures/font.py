"""The font of figures: DejaVu Sans, which matplotlib brings, so that figures are the same on all machines.

A PDF holds the glyphs that it shows. To pick them, matplotlib reads the whole font, of 6,253 glyphs, for
each file, which would take half of the time of a PDF. So figures use a copy with the glyphs of common
languages. It is made once per process, and glyphs that it lacks come from the whole font.
"""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from fontTools import subset
from matplotlib.font_manager import FontProperties, findfont, fontManager

NAME = "DejaVu Sans"
COPY = "DejaVu Sans of switchbench"
FAMILY, FULL_NAME, TYPOGRAPHIC_FAMILY = 1, 4, 16
"""Numbers of names in a TrueType font."""
COMMON = (
    range(0x20, 0x180),  # Latin
    range(0x370, 0x400),  # Greek
    range(0x2010, 0x2028),  # dashes, quotes
    range(0x2070, 0x20A0),  # superscripts, subscripts
    (0x2190, 0x2192, 0x2212, 0x221E, 0x2248, 0x2264, 0x2265),  # arrows, minus, infinity, comparisons
)
"""Code points of the copy."""


def families() -> list[str]:
    """Return the names of the fonts of figures, the first choice first."""
    _copy()
    return [COPY, NAME]


@cache
def _copy() -> TemporaryDirectory[str]:
    """Make and register the copy. Its folder is in the cache, and is removed when the process ends."""
    whole = findfont(FontProperties(family=[NAME]))
    options = subset.Options(
        retain_gids=True,  # glyphs keep their numbers, by which SVG files name them
        layout_features=["*"],
        name_IDs=["*"],
        notdef_outline=True,
        drop_tables=["FFTM", "MATH", "kern"],  # GPOS has the kerning
    )
    font = subset.load_font(str(whole), options)
    chosen = subset.Subsetter(options)
    chosen.populate(unicodes=[point for points in COMMON for point in points])
    chosen.subset(font)
    for record in font["name"].names:
        if record.nameID in (FAMILY, FULL_NAME, TYPOGRAPHIC_FAMILY):
            record.string = COPY
    folder = TemporaryDirectory(prefix="switchbench-font-")
    file = Path(folder.name, "DejaVuSans.ttf")
    font.save(file)
    fontManager.addfont(file)
    return folder
