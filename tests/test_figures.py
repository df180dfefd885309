"""Figures show the numbers of a report, legibly: no text overlaps another or leaves the canvas."""

import itertools
import math
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from switchbench import reports
from switchbench.reports.analyses.fronts import Front, Point, fronts
from switchbench.reports.analyses.trainings import Training, trainings
from switchbench.reports.cells import Report, Task
from switchbench.reports.figures import text
from switchbench.reports.figures.accuracy import accuracy_figure
from switchbench.reports.figures.axes import limits
from switchbench.reports.figures.catalogue import draw_all
from switchbench.reports.figures.cost import cost_figure
from switchbench.reports.figures.curves import curves_figure
from switchbench.reports.figures.histograms import histograms_figure
from switchbench.reports.figures.layers import layers_figure
from switchbench.reports.figures.masks import masks_figure
from switchbench.reports.figures.material import material
from switchbench.reports.figures.pareto import front_figure
from switchbench.reports.figures.process import DrawingProcess
from switchbench.reports.figures.profiles import profile_figure
from switchbench.reports.figures.ranks import ranks_figure
from switchbench.reports.figures.relative import relative_figure
from switchbench.reports.figures.settings import settings
from switchbench.reports.figures.style import DOUBLE, SINGLE, styles
from switchbench.reports.sources import Sources
from switchbench.row import columns

NAN = float("nan")
ODD = "50 % <b> a_b & $x$ | λ 中文 "
"""What labels may hold."""


def trial(label: str, seed: int, target: float, accuracy: float, **more: Any) -> dict[str, Any]:
    density = 1.0 if math.isnan(target) else target
    return dict.fromkeys(columns()) | {
        "trial_id": f"{label}-{seed}-{target}", "label": label, "method": label, "network": "net", "dataset": "data",
        "scope": "fc", "seed": seed, "target_density": target, "status": "ok", "test_accuracy": accuracy,
        "density": density, "density_network": density, "macs": 1000 * density, "parameters": 1000,
        "train_seconds": 2.0, "method_seconds": 0 if label == "dense" else 1.0,
        "train_flops": 3e6, "method_flops": 0 if label == "dense" else 1e6,
        "density_layers": f'{{"first": {density / 2}, "last": {min(1, density * 2)}}}',
    } | more  # fmt: skip


def table(
    methods: int = 2, densities: tuple[float, ...] = (0.1, 0.05), seeds: int = 3, **more: Any
) -> pd.DataFrame:
    """A dense control, methods with targets, and one that finds its density: density 0.03."""
    rows = [trial("dense", seed, NAN, 0.90 + 0.01 * (seed % 3), **more) for seed in range(seeds)]
    rows += [
        trial("free", seed, NAN, 0.85 + 0.02 * (seed % 3), density=0.03, **more) for seed in range(seeds)
    ]
    for i, density, seed in itertools.product(range(methods), densities, range(seeds)):
        accuracy = 0.8 - 0.01 * i + 0.02 * (seed % 3) + 0.05 * math.log10(density)
        rows.append(trial(f"{ODD}{i}".ljust(40, "x") if i else "prune", seed, density, accuracy, **more))
    return pd.DataFrame(rows)


def report(results: pd.DataFrame) -> Report:
    return reports.build(results, "title")


def task_of(results: pd.DataFrame) -> Task:
    return report(results).tasks[0]


def curves_of(results: pd.DataFrame, epochs: int = 5) -> pd.DataFrame:
    points = [
        {"trial_id": row["trial_id"], "step": 10 * epoch, "val_accuracy": min(0.1 * epoch, 0.9) + 0.01 * (row["seed"] % 3),
         "density": 1 - (1 - row["density"]) * epoch / epochs}
        for row in results.to_dict("records") for epoch in range(1, epochs + 1)
    ]  # fmt: skip
    return pd.DataFrame(points)


def trained(task: Task, results: pd.DataFrame, epochs: int = 5) -> dict[str, Training]:
    return trainings(task, results, curves_of(results, epochs), min(task.densities, default=NAN))


def drawn(figure: Figure | None, label: str) -> Line2D:
    """The one line or set of points that stands for a label."""
    assert figure
    (line,) = [line for panel in figure.axes for line in panel.lines if line.get_label() == label]
    return line


def values(line: Line2D) -> tuple[Any, Any]:
    return np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()


def test_accuracy_is_drawn_as_measured() -> None:
    task = task_of(table())
    figure = accuracy_figure(task, styles(task.labels))
    assert figure
    assert figure.get_figwidth() == SINGLE
    cells = [task.cells["prune", density] for density in (0.05, 0.1)]
    x, y = values(drawn(figure, "prune"))
    assert x == pytest.approx([0.05, 0.1])
    assert y == pytest.approx([100 * cell.accuracy.mean for cell in cells])
    assert values(drawn(figure, "free")) == ([0.03], [pytest.approx(87)])
    band = next(each for each in figure.axes[0].collections if isinstance(each, PolyCollection))
    corners = np.asarray(band.get_paths()[0].vertices)[:, 1]
    assert corners.max() == pytest.approx(max(100 * (c.accuracy.mean + c.accuracy.interval) for c in cells))
    dense = next(line for line in figure.axes[0].lines if values(line)[0] == [0, 1])
    assert values(dense)[1] == pytest.approx([91, 91])


def test_differences_are_paired_by_seed() -> None:
    results = table()
    results.loc[(results["label"] == "prune") & (results["seed"] == 2), "status"] = "failed"
    task = task_of(results)
    x, y = values(drawn(relative_figure(task, styles(task.labels)), "prune"))
    assert y == pytest.approx([100 * task.differences("prune", "dense", density).mean() for density in x])
    assert len(task.differences("prune", "dense", 0.1)) == 2
    alone = task_of(results[results["label"] != "dense"])
    assert relative_figure(alone, styles(alone.labels)) is None


def test_cost_and_layers_are_drawn_as_measured() -> None:
    task = task_of(table())
    looks = styles(task.labels)
    assert values(drawn(cost_figure(task, looks), "prune")) == (
        [1.5],
        [pytest.approx(100 * task.cells["prune", 0.05].accuracy.mean)],
    )
    assert values(drawn(cost_figure(task, looks, 0.1, "time"), "prune"))[0] == [2]
    results = table()
    plain = task_of(results[results["label"] == "dense"])
    assert cost_figure(plain, looks) is None  # one column of points
    figure = layers_figure(task, looks)
    assert figure
    first, second = [line for panel in figure.axes for line in panel.lines if line.get_label() == "prune"]
    assert values(first) == ([0, 1], pytest.approx([0.05, 0.2]))
    assert values(second) == ([0, 1], pytest.approx([0.025, 0.1]))


def test_curves_are_means_over_seeds_at_the_lowest_density() -> None:
    results = table()
    task = task_of(results)
    figure = curves_figure(trained(task, results), styles(task.labels))
    assert figure
    accuracy, density = (
        [line for line in panel.lines if line.get_label() == "prune"] for panel in figure.axes
    )
    assert values(accuracy[0])[0] == [10, 20, 30, 40, 50]
    assert values(accuracy[0])[1] == pytest.approx([11, 21, 31, 41, 51])
    assert values(density[0])[1][-1] == pytest.approx(0.05)


def test_a_front_has_its_points_and_shares() -> None:
    points = [
        Point("a", 0.1, 10, 0.8, True),
        Point("b", 0.1, 20, 0.9, True),
        Point("c", 0.1, 30, 0.85, False),
    ]
    front = Front("macs", "MACs", "", points, {"a": 0.4, "b": 0.996, "c": 0.0}, 3)
    figure = front_figure(front, styles(["a", "b", "c"]))
    assert figure
    assert values(drawn(figure, "c")) == ([30], [85])
    line = next(line for line in figure.axes[0].lines if line.get_drawstyle() == "steps-post")
    assert values(line) == ([10, 20], [80, 90])
    assert {"a (40 %)", "b (100 %)", "c (0 %)"} <= {each.get_text() for each in figure.texts}


def test_ranks_stand_on_the_axis_and_bars_join_groups() -> None:
    ranks = {"best": 1.5, "middle": 2.0, "worst": 3.0}
    figure = ranks_figure(ranks, [["best", "middle"]], 1.0, styles([*ranks]))
    assert figure
    (panel,) = figure.axes
    leaders = [values(line)[0][0] for line in panel.lines if line.get_gid() == "leader"]
    best, middle, worst = sorted(leaders)
    assert (middle - best) / (worst - best) == pytest.approx(1 / 3)
    (bar,) = [values(line)[0] for line in panel.lines if line.get_gid() == "bar"]
    assert bar[0] < best
    assert middle < bar[1] < worst
    difference = next(values(line)[0] for line in panel.lines if line.get_marker() == "|")
    assert difference[1] - difference[0] == pytest.approx((worst - best) / 1.5)


def test_profiles_masks_and_histograms_hold_what_was_given() -> None:
    taus = np.linspace(0, 1, 11)
    figure = profile_figure(taus, {"a": 1 - taus}, "score", styles(["a"]))
    assert values(drawn(figure, "a")) == (taus.tolist(), (1 - taus).tolist())
    counts = {"a": np.eye(3), "b": 5 * np.eye(3)}
    pictures = masks_figure(counts)
    assert pictures
    images = [image for panel in pictures.axes for image in panel.images]
    assert [np.asarray(image.get_array()).max() for image in images[:2]] == [1, 5]
    assert {image.get_clim() for image in images[:2]} == {(0, 5)}
    figure = histograms_figure({"layer": [0, 0, 1, 1, -1, 0.5]})
    assert figure
    assert "layer: 4 of 6" in {each.get_text() for each in figure.texts}
    assert figure.axes[0].patches[0].get_data().values.sum() == pytest.approx(100)  # type: ignore[attr-defined]


def test_outliers_are_marked_at_the_edge() -> None:
    low, high = limits([88, 89, 90, 91, 87, 88, 89, 10])
    assert 80 < low < 87
    assert 91 < high < 95
    assert limits([88, 89, 10])[0] < 10  # of three, none is far off
    results = pd.concat(
        [table(4), pd.DataFrame([trial("fallen", 0, NAN, 0.1), trial("empty", 0, NAN, 0.8, density=0.0)])]
    )
    task = task_of(results)
    figure = accuracy_figure(task, styles(task.labels))
    assert figure
    (panel,) = figure.axes
    marks = [line for line in panel.lines if line.get_markersize() == 4]
    assert {tuple(values(line)[1]) for line in marks} == {(panel.get_ylim()[0],), (80,)}
    assert panel.get_xlim()[0] in {values(line)[0][0] for line in marks}


def test_styles_are_told_apart_in_grey() -> None:
    looks = styles([str(i) for i in range(55)])
    assert len({(look.marker, look.dash) for look in looks.values()}) == 55
    for one, other in itertools.pairwise(looks.values()):
        assert one.colour != other.colour
        assert one.marker != other.marker
        assert one.dash != other.dash
    luminances = {np.dot(to_rgb(look.colour), (0.2126, 0.7152, 0.0722)) for look in looks.values()}
    assert max(luminances) < 0.7  # lines are visible on white
    assert styles(["a", "b"])["b"] == styles(["a", "b", "c"])["b"]


def many_figures(width: float) -> Iterator[tuple[str, Figure | None]]:
    """All figures with 40 methods whose labels have 40 characters, 12 densities and 24 layers."""
    densities = (0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.003, 0.002, 0.001)
    layers = "{" + ", ".join(f'"features.{i}.conv": {0.01 * i + 0.001}' for i in range(24)) + "}"
    results = table(38, densities, density_layers=layers)
    task = task_of(results)
    looks = styles(task.labels)
    names = task.labels
    yield "accuracy", accuracy_figure(task, looks, width)
    yield "relative", relative_figure(task, looks, width)
    yield "cost", cost_figure(task, looks, width=width)
    yield "layers", layers_figure(task, looks, width)
    yield "curves", curves_figure(trained(task, results), looks, width)
    yield "pareto", front_figure(fronts(task)[0], looks, width)
    ranks = {label: 1 + 0.9 * i for i, label in enumerate(names)}
    yield "ranks", ranks_figure(ranks, [names[i : i + 5] for i in range(35)], 4.2, looks, width)
    yield (
        "profile",
        profile_figure([-12, -5, 0], {label: [1, 0.5, 0] for label in names}, "score", looks, width),
    )
    yield "masks", masks_figure({label: np.ones((28, 28)) for label in names}, width)
    yield "weights", histograms_figure({f"features.{i}.conv": [0, 1e-3, -2e-3] for i in range(24)}, width)
    few = task_of(table(10, densities, density_layers=layers))
    yield "accuracy, few", accuracy_figure(few, styles(few.labels), width)
    yield "layers, few", layers_figure(few, styles(few.labels), width)


@pytest.mark.parametrize("width", [SINGLE, DOUBLE])
def test_no_text_overlaps_another_or_leaves_the_canvas(width: float, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes: list[tuple[str, Any]] = []
    draw = Text.draw

    def recorded(self: Text, renderer: Any) -> None:
        if self.get_text() and self.get_visible():
            assert self.get_fontsize() in (7, 8)
            boxes.append((self.get_text(), self.get_window_extent(renderer)))
        draw(self, renderer)

    monkeypatch.setattr(Text, "draw", recorded)
    for name, figure in many_figures(width):
        assert figure, name
        assert figure.get_figwidth() == width
        boxes.clear()
        with settings():
            FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
        for label, box in boxes:
            inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
            assert inside, f"{name}: {label!r} leaves the canvas"
        for (label, box), (other, beside) in itertools.combinations(boxes, 2):
            apart = max(beside.x0 - box.x1, box.x0 - beside.x1, beside.y0 - box.y1, box.y0 - beside.y1)
            assert apart > -1, f"{name}: {label!r} overlaps {other!r}"
        assert len(boxes) > 2, name


def test_labels_are_shown_as_they_are() -> None:
    label = "a_b & 5 % <c> $x$ |"
    task = task_of(table().replace({"label": {"prune": label}}))
    figure = accuracy_figure(task, styles(task.labels))
    assert figure
    assert label in {each.get_text() for each in figure.texts}
    assert text.shown("λ 中\n") == "λ U+4E2D"
    assert "".join(text.wrapped("a" * 60, 1, 7)) == "a" * 60
    assert all(text.width(line, 7) <= 1 for line in text.wrapped("many-words_in a/label " * 5, 1, 7))


def test_files_repeat_and_are_fit_for_print(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    results = table()
    sources = Sources(results, curves_of(results), {("net", "data", "fc"): {"prune": np.eye(4)}})
    made = report(results)
    with DrawingProcess() as drawing:  # elsewhere, and shared among several
        drawing.draw(made, tmp_path / "two", material(made, sources))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            draw_all(made, tmp_path / "one", material(made, sources))
        drawing.wait()
    files = sorted(file.relative_to(tmp_path / "one") for file in (tmp_path / "one").rglob("*.*"))
    assert {file.as_posix() for file in files} >= {
        "captions.md", "net_data_fc/accuracy.svg", "net_data_fc/curves.pdf", "net_data_fc/masks.png", "all-tasks/profile.png",
    }  # fmt: skip
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    captions = (tmp_path / "one" / "captions.md").read_text()
    for stem in {file.with_suffix("") for file in files if file.suffix == ".svg"}:
        assert f"`{stem.as_posix()}`" in captions
    svg = (tmp_path / "one" / "net_data_fc" / "accuracy.svg").read_text()
    assert "<text" not in svg
    pdf = (tmp_path / "one" / "net_data_fc" / "accuracy.pdf").read_bytes()
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 1
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert (width := re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", pdf))
    assert float(width[1]) == pytest.approx(72 * SINGLE)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.iloc[:0],
        lambda rows: rows.iloc[:1],
        lambda rows: rows[rows["seed"] == 0],
        lambda rows: rows.assign(status="failed", test_accuracy=None),
        lambda rows: rows.assign(test_accuracy=NAN),
        lambda rows: rows.assign(density=0.0, macs=0.0),
        lambda rows: rows.assign(density=NAN, density_layers=None, train_flops=NAN, train_seconds=NAN),
        lambda rows: rows.assign(test_accuracy=0.5),
        lambda rows: rows.assign(target_density=NAN).drop_duplicates(["label", "seed"]),
        lambda rows: rows[rows["label"] == "prune"],
    ],
    ids=[
        "empty",
        "one",
        "one seed",
        "failed",
        "nan",
        "density 0",
        "no density",
        "equal",
        "no target",
        "one method",
    ],
)
def test_whatever_results_are_there_figures_are_drawn_or_left_out(
    change: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "switchbench.reports.figures.settings.FORMATS", {".svg": {}}
    )  # the other formats take longer
    results = change(table())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = report(results)
        draw_all(made, tmp_path, material(made, Sources(results, curves_of(results))))
    assert (tmp_path / "captions.md").exists()


def test_many_seeds_and_epochs_draw_no_more_artists() -> None:
    """Time is proportional to the number of artists."""
    counts = []
    for seeds in (6, 21):
        results = table(30, (0.1, 0.05, 0.02, 0.01), seeds)
        task = task_of(results)
        looks = styles(task.labels)
        figures = [accuracy_figure(task, looks), curves_figure(trained(task, results, 20), looks)]
        counts.append([len(figure.findobj()) for figure in figures if figure])
    assert counts[0] == counts[1]
    assert max(counts[0]) < 2_000
