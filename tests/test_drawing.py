"""Figures are drawn in processes of their own: what is asked of them, what goes wrong, and what they leave."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import made_up
import numpy as np
import pytest
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import LoadFlags
from matplotlib.textpath import TextPath

from switchbench import reports
from switchbench.errors import RunStopped
from switchbench.reports.figures.drawer import main
from switchbench.reports.figures.font import NAME, families
from switchbench.reports.figures.material import NOTHING
from switchbench.reports.figures.process import DrawingProcess
from switchbench.reports.figures.workers import MOST_PORTIONS, WorkerLost, in_parallel


def drawn(drawing: DrawingProcess, folder: Path) -> None:
    drawing.draw(reports.build(made_up.results(), "title"), folder, NOTHING)
    drawing.wait()


def ends(pid: int) -> bool:
    """Whether no process has this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("seconds", [0.0, 3.0])  # while it imports, and when it waits for an order
def test_a_process_that_is_not_needed_leaves_nothing(
    seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with DrawingProcess() as drawing:
        pid = drawing.pid
        time.sleep(seconds)
    assert ends(pid)
    assert [*tmp_path.iterdir()] == []


def test_figures_leave_nothing_beside_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with DrawingProcess() as drawing:
        drawn(drawing, tmp_path / "figures")
    assert [*tmp_path.iterdir()] == [tmp_path / "figures"]


def test_a_process_ends_when_the_one_that_started_it_is_killed(tmp_path: Path) -> None:
    script = (
        "import os, signal; from switchbench.reports.figures.process import DrawingProcess\n"
        "print(DrawingProcess().pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as killed:
        output, _ = killed.communicate()  # ends when all that hold the pipe have ended
    assert killed.returncode == -signal.SIGKILL
    assert int(output) > 0


def test_a_folder_that_cannot_be_written_is_an_error_of_the_caller(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with DrawingProcess() as drawing, pytest.raises(NotADirectoryError, match="file"):
        drawn(drawing, tmp_path / "file" / "figures")


def test_a_full_disk_is_an_error_of_the_caller(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with DrawingProcess() as drawing:
        drawn(drawing, tmp_path)
    full = next(tmp_path.rglob("*.pdf"))  # matplotlib's PDF has an error of its own
    full.unlink()
    full.symlink_to("/dev/full")
    with DrawingProcess() as drawing, pytest.raises(OSError, match="No space left on device"):
        drawn(drawing, tmp_path)
    assert capfd.readouterr().err == ""


def test_a_killed_process_is_reported_in_one_line(tmp_path: Path) -> None:
    with DrawingProcess() as drawing:
        os.kill(drawing.pid, signal.SIGKILL)
        with pytest.raises(RunStopped, match=r"figures are missing: .* was killed \(SIGKILL\)") as raised:
            drawn(drawing, tmp_path)
    assert "\n" not in str(raised.value)


def test_a_process_that_fails_says_so_itself(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with DrawingProcess() as drawing:
        drawing.draw(reports.build(made_up.results(), "title"), tmp_path, None)  # type: ignore[arg-type]
        with pytest.raises(RunStopped, match=r"failed \(exit code 1\)"):
            drawing.wait()
    assert "AttributeError" in capfd.readouterr().err


def test_what_draws_does_not_wait_for_pandas() -> None:
    code = f"import sys, {main.__module__}; print({{'pandas', 'torch', 'ray', 'pyarrow'}} & {{*sys.modules}})"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


def test_what_starts_it_imports_neither_matplotlib_nor_pandas() -> None:
    code = (
        f"import sys, {DrawingProcess.__module__}; "
        "print({'matplotlib', 'numpy', 'pandas', 'pydantic'} & {*sys.modules})"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("calls", [0, 1, 4, 2 * MOST_PORTIONS + 1])
def test_results_are_in_order_whoever_computes_them(workers: int, calls: int) -> None:
    assert in_parallel([partial(divmod, number, 7) for number in range(calls)], workers) == [
        divmod(number, 7) for number in range(calls)
    ]


def test_work_is_shared() -> None:
    assert os.getpid() not in in_parallel([os.getpid] * 3, 2)


def test_an_error_of_a_worker_is_raised_here() -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        in_parallel([partial(os.stat, "missing")] * 2, 2)


def test_a_worker_that_is_killed_is_noticed() -> None:
    with pytest.raises(WorkerLost):
        in_parallel([partial(os._exit, 1)] * 2, 2)


def test_the_copy_of_the_font_has_the_same_shapes() -> None:
    copy, whole = (get_font(findfont(FontProperties(family=[name]))) for name in families())
    assert copy.fname != whole.fname
    points = copy.get_charmap()
    assert {*map(ord, "aZ09%−±≤λé")} < points.keys()
    assert len(points) < len(whole.get_charmap()) / 5
    for point, glyph in points.items():
        assert whole.get_charmap()[point] == glyph
        advances, outlines = [], []
        for font in (copy, whole):
            advances.append(font.load_char(point, LoadFlags.NO_HINTING).linearHoriAdvance)
            outlines.append(font.get_path())
        assert advances[0] == advances[1]
        assert np.array_equal(outlines[0][0], outlines[1][0])
        assert np.array_equal(outlines[0][1], outlines[1][1])


@pytest.mark.parametrize("text", ["AVATAR To. fi ffl Wé", "density ≤ 0.05 − λ", "Жук 1"])
def test_text_is_set_as_with_the_whole_font(text: str) -> None:
    """Kerning, ligatures, and glyphs that the copy lacks."""
    lines = [
        TextPath((0, 0), text, size=7, prop=FontProperties(family=names)) for names in (families(), [NAME])
    ]
    assert np.array_equal(lines[0].vertices, lines[1].vertices)
