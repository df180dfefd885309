"""Find the comparisons below a folder and write their leaderboard."""

import os
from collections.abc import Iterator
from pathlib import Path

from switchbench import reports
from switchbench.compare.inert import without_inert
from switchbench.errors import InputError
from switchbench.reports.leaderboard import Comparison
from switchbench.store.comparisons import PARTS
from switchbench.store.ledger import Ledger
from switchbench.store.unwritable import unwritable

PAGE = Path("report", "index.html")


def leaderboard(folder: Path, out: Path | None = None) -> tuple[Path, int]:
    """Write a static page over all comparisons below a folder: the best methods per task and density.

    Args:
        folder: Folder whose subfolders hold comparisons, at any depth.
        out: The page; default: ``leaderboard.html`` in the folder.

    Returns:
        The page, and the number of comparisons.

    Raises:
        InputError: The folder holds no comparison, or the page cannot be written.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    folders = [*_comparisons(folder)]
    ledgers = [*map(Ledger, folders)]
    if not ledgers:
        raise InputError(f"{folder}: holds no comparison, at any depth")
    page = out or folder / "leaderboard.html"
    found = [
        Comparison(
            ledger.name() if own == folder else own.relative_to(folder).as_posix(),
            ledger.results(),
            _address(own / PAGE, page.parent),
        )
        for own, ledger in zip(folders, ledgers, strict=True)
    ]
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        reports.write_leaderboard(found, page, folder.resolve().name, without_inert)
    except OSError as error:
        raise unwritable(page, error, "--out") from error
    return page, len(found)


def _comparisons(folder: Path) -> Iterator[Path]:
    """Yield the folders of comparisons, sorted, without looking inside of them.

    A comparison whose search or calibration goes on has no plan yet, but these have.
    """
    for path, folders, _ in os.walk(folder):
        folders[:] = sorted({*folders} - {*PARTS})
        if Ledger(Path(path)).has_comparison:
            folders.clear()
            yield Path(path)


def _address(page: Path, start: Path) -> str:
    return os.path.relpath(page, start).replace(os.sep, "/") if page.exists() else ""
