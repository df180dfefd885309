"""Which folders hold comparisons, and what is said where one holds none."""

from pathlib import Path

from switchbench.errors import InputError
from switchbench.store.objects import StorePath

PLAN = "plan.parquet"
"""File of the planned trials."""
GATHERED = "results.parquet"
"""File of a published table, or of the rows that a finished comparison has gathered."""
PARTS = ("search", "calibration")
"""Folders inside a comparison's that look like comparisons."""
NAMED = 6
"""Most folders that a message names."""


def comparisons_below(folder: Path) -> list[Path]:
    """Return the folders of comparisons in a folder that is none itself, or in its folders; sorted."""
    if _is_comparison(folder):
        return []
    levels = (sorted(filter(_is_comparison, folder.glob(pattern))) for pattern in ("*/", "*/*/"))
    return next(filter(None, levels), [])


def _is_comparison(folder: Path) -> bool:
    return folder.name not in PARTS and any((folder / name).exists() for name in (PLAN, GATHERED))


def no_comparison(folder: StorePath) -> InputError:
    """Return the error to raise where a comparison is read from a folder that holds none."""
    if not isinstance(folder, Path):
        return InputError(f"{folder}: holds no comparison (no {PLAN})")
    if not folder.exists():
        return InputError(f"{folder}: no such folder")
    below = [*map(str, comparisons_below(folder))]
    more = f" and {len(below) - NAMED} more" if len(below) > NAMED else ""
    begun = next((f"its {part} has not ended" for part in PARTS if (folder / part / PLAN).exists()), None)
    hint = f"name one of those in it: {', '.join(below[:NAMED])}{more}" if below else begun or f"no {PLAN}"
    return InputError(f"{folder}: holds no comparison ({hint})")
