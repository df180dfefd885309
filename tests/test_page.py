"""The page in a real browser: what a reader does with it works, and nothing leaves the machine."""

import csv
import io
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from selenium import webdriver
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.chrome.service import Service

from switchbench.reports.checklist import Check
from switchbench.reports.grouping import build
from switchbench.reports.page.page import page
from switchbench.reports.tables.catalogue import sections
from switchbench.row import columns

NASTY = """a_b <b>x</b> & 50 % | "q" 'r' </script><script>alert(1)</script> λ 中 \x07 {$#^~\\}"""
SHOWN = NASTY.replace("\x07", "U+0007")
ERROR = f"ValueError: {NASTY}\nsecond line"
OPTIONS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --enable-unsafe-swiftshader"
).split()
CHROMIUM, DRIVER = shutil.which("chromium") or "", shutil.which("chromedriver") or ""

needs_browser = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver")


def synthetic(
    labels: list[str], tasks: int, targets: list[float], seeds: int, epochs: int = 15
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Trials and their curves, with every hundredth trial failed; ``dense`` takes no target."""
    random, rows = np.random.default_rng(0), []
    grid = [
        (task, label, target, seed)
        for task in range(tasks)
        for label in labels
        for target in ([np.nan] if label == "dense" else targets)
        for seed in range(seeds)
    ]
    for number, (task, label, target, seed) in enumerate(grid):
        density = 1.0 if np.isnan(target) else target
        accuracy = round(
            0.99 - 0.004 * labels.index(label) - 0.003 / density**0.5 + random.normal(0, 0.001), 4
        )
        config = {
            "network": {"network": "lenet-300-100", "bias": True}, "dataset": {"dataset": f"data {task}"}, "scope": "fc",
            "method": {"method": label, "begin": 0.1, "end": 0.75, "every": 100, "distribution": "erk"},
            "density": None if np.isnan(target) else target, "seed": seed,
            "training": {"epochs": epochs, "batch_size": 128, "optimizer": "adam", "lr": 0.001, "schedule": "cosine"},
        }  # fmt: skip
        row = dict.fromkeys(columns()) | {
            "trial_id": f"{number * 2654435761 % 2**64:016x}", "label": label, "method": label,
            "network": "lenet-300-100", "dataset": f"data {task}", "scope": "fc", "seed": seed,
            "target_density": target, "status": "ok", "density": density, "density_prunable": density,
            "density_network": density, "density_layers": json.dumps({"1": density, "3": density}),
            "test_accuracy": accuracy, "val_accuracy": accuracy - 0.001, "macs": int(266_200 * density),
            "macs_dense": 266_200, "steps": 6_330, "train_seconds": random.uniform(12, 40), "train_flops": 9e11,
            "parameters": 266_610, "method_parameters": 0, "method_seconds": random.uniform(0, 1),
            "method_flops": 1e9, "peak_memory": int(random.integers(10**9)), "device": "cpu",
            "versions": json.dumps({"python": "3.11.7", "torch": "2.9.0"}), "config": json.dumps(config),
        }  # fmt: skip
        failed = {"status": "failed", "error": ERROR, "test_accuracy": None}
        rows.append(row | (failed if number % 100 == 99 else {}))
    table = pd.DataFrame(rows)
    points = len(table) * epochs
    epoch = np.tile(np.arange(1, epochs + 1), len(table))
    curves = pd.DataFrame(
        {
            "trial_id": table["trial_id"].repeat(epochs).to_numpy(),
            "step": 422 * epoch,
            "train_loss": np.exp(-epoch / 3) + 0.05 * random.random(points),
            "val_accuracy": np.round(0.98 - 0.2 / epoch + random.normal(0, 0.002, points), 4),
            "density": table["density"].repeat(epochs).to_numpy(dtype=float) ** (epoch / epochs),
        }
    )
    return table, curves


def made(trials: pd.DataFrame, curves: pd.DataFrame) -> str:
    report = build(trials, NASTY, [("magnitude", "random")])
    checks = [Check("Five operating points", False, f"two: {NASTY}", "densities: [0.5, 0.2]")]
    return page(report, sections(report), trials, curves, [f"At 0.1, {NASTY} is best."], checks)


class Reader:
    """A reader of the page: Chromium without a window."""

    def __init__(self, driver: Chrome, file: Path, downloads: Path) -> None:
        self.driver, self.file, self.downloads = driver, file, downloads
        self.opened: set[str] = set()  # the browser's log holds the pages of all tests so far
        downloads.mkdir()
        self.tell("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))

    def tell(self, command: str, **arguments: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, arguments)

    def open(self, width: int = 1400, scheme: str = "light") -> None:
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.opened.add(self.file.as_uri())
        self.driver.get(self.file.as_uri())
        self.wait(lambda: self.run("return document.documentElement.dataset.ready"))
        self.run("document.querySelector('.accuracy').scrollIntoView()")
        self.wait(lambda: self.run("return document.querySelector('.accuracy .drawn')"))

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def wait(self, done: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 30
        while not (found := done()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return found

    def click(self, selector: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def show(self, table: str) -> None:
        """Scroll to a table, which becomes interactive there."""
        self.run(f"document.querySelector('[data-table={table}]').scrollIntoView()")
        self.wait(lambda: self.run(f"return document.querySelector('[data-table={table}] .tools')"))

    def column(self, table: str, column: int) -> list[str]:
        cells = f"[data-table={table}] tbody td:nth-child({column})"
        found: list[str] = self.run(
            f"return [...document.querySelectorAll('{cells}')].map((e) => e.textContent)"
        )
        return found

    def traces(self) -> list[str]:
        found: list[str] = self.run(
            "return document.querySelector('.accuracy .plot').data.map((t) => t.name)"
        )
        return found

    def saved(self, name: str) -> str:
        file = self.downloads / name
        self.wait(file.exists)
        text = file.read_text()
        file.unlink()
        return text


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text(
        made(*synthetic(["dense", "magnitude", "random", NASTY], 2, [0.5, 0.1], 15)), encoding="utf-8"
    )
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in [*OPTIONS, f"--user-data-dir={folder / 'profile'}"]:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options, Service(DRIVER))
    try:
        yield Reader(driver, folder / "index.html", folder / "downloads")
    finally:
        driver.quit()


@pytest.fixture
def reader(browser: Reader) -> Reader:
    browser.open()
    return browser


@needs_browser
def test_a_method_is_switched_off_everywhere(reader: Reader) -> None:
    assert reader.column("task-0-0", 1) == ["dense", "magnitude", "random", SHOWN]
    assert len(reader.traces()) == 4
    reader.show("task-0-0")
    reader.click(".legend [data-method=random]")
    reader.wait(lambda: "random" not in reader.traces())
    assert reader.column("task-0-0", 1) == ["dense", "magnitude", SHOWN]
    reader.show("trials")
    reader.wait(lambda: set(reader.column("trials", 1)) == {"dense", "magnitude", SHOWN})
    assert reader.run("return document.querySelector('.legend [data-method=random]').ariaPressed") == "false"
    reader.click(".legend .every:last-child")
    reader.wait(lambda: not reader.traces())
    reader.show("task-0-0")
    reader.wait(lambda: not reader.column("task-0-0", 1))


@needs_browser
def test_the_figure_shows_changes_to_dense(reader: Reader) -> None:
    reader.click(".switch button:last-child")
    script = "return document.querySelector('.accuracy .plot').layout.yaxis.title.text"
    reader.wait(lambda: reader.run(script) == "change to dense (points)")
    assert reader.run("return document.querySelector('.accuracy .plot').data[1].y.every((y) => y < 0)")


@needs_browser
def test_the_figure_names_what_it_cannot_show_as_it_is(
    browser: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other densities in a figure of one density; means above its range; a method that ends dense by itself."""
    found = []
    for number, targets in enumerate(([0.1], [0.5, 0.1])):
        labels = ["dense", "magnitude", "random", "l1", "set", "rigl", "str"]
        trials, curves = synthetic(labels, 1, targets, 3)
        low = ~trials["label"].isin(["dense", "str"])
        trials.loc[low, "test_accuracy"] = 0.1 + 0.001 * trials.index[low]
        trials.loc[trials["label"] == "str", ["target_density", "density"]] = [np.nan, 1.0]
        file = tmp_path / f"{number}.html"
        file.write_text(
            made(trials.drop_duplicates(["label", "target_density", "seed"]), curves), encoding="utf-8"
        )
        monkeypatch.setattr(browser, "file", file)
        browser.open()
        found.append(browser.run("return document.querySelector('.accuracy .caption').textContent"))
        shown = "return document.querySelector('.accuracy .plot').data.find((t) => t.name == 'str').x.length"
        assert browser.run(shown) == 1
    assert "At another density: dense (1), str (1)." in found[0]
    assert "Above the range shown: dense (9" in found[1]


@needs_browser
def test_tables_are_sorted_by_value_also_from_the_keyboard(reader: Reader) -> None:
    reader.show("trials")
    header = reader.driver.find_element("css selector", "[data-table=trials] th:nth-child(6) button")
    key = reader.column("trials", 6)  # test accuracies
    reader.driver.execute_script("arguments[0].focus()", header)
    ActionChains(reader.driver).send_keys(Keys.ENTER).perform()
    down = [float(text) for text in reader.column("trials", 6)]
    assert down == sorted(down, reverse=True)
    ActionChains(reader.driver).send_keys(Keys.SPACE).perform()
    up = [float(text) for text in reader.column("trials", 6)]
    assert up == sorted(up)
    assert up[0] < down[-1]  # another page of the table
    assert (
        reader.run("return document.querySelector('[data-table=trials] th:nth-child(6)').ariaSort")
        == "ascending"
    )
    ActionChains(reader.driver).send_keys(Keys.ENTER).perform()
    assert reader.column("trials", 6) == key


@needs_browser
def test_tables_are_filtered_and_exported(reader: Reader) -> None:
    reader.show("task-0-0")
    reader.driver.find_element("css selector", "[data-table=task-0-0] input").send_keys("A_B <B>")
    assert reader.column("task-0-0", 1) == [SHOWN]
    reader.click("[data-table=task-0-0] .tools button")
    names, row = csv.reader(io.StringIO(reader.saved("accuracy.csv")))
    assert names[:3] == ["method", "0.5", "0.5 ±"]
    assert row[0] == SHOWN
    assert len(row[1]) > 10  # full precision
    reader.click("[data-table=task-0-0] .tools button:last-child")
    tex = reader.saved("accuracy.tex")
    assert tex.count("\\toprule") == tex.count("\\bottomrule") == 1
    (line,) = [line for line in tex.splitlines() if "a\\_b \\ensuremath{<}b\\ensuremath{>}" in line]
    assert "\\& 50 \\% \\ensuremath{|}" in line
    assert "\\ensuremath{\\lambda} U+4E2D U+0007 \\{\\$\\#\\textasciicircum{}" in line
    assert re.search(r"& \d\d\.\d\d \$\\pm\$ \d\.\d\d ", line)


@needs_browser
def test_a_trial_opens_with_its_config_its_curves_and_its_error(reader: Reader) -> None:
    reader.show("trials")
    reader.driver.find_element("css selector", "[data-table=trials] input").send_keys("failed")
    row = reader.driver.find_element("css selector", "#trials tbody tr")
    reader.driver.execute_script("arguments[0].focus()", row)
    ActionChains(reader.driver).send_keys(Keys.ENTER).perform()
    reader.wait(lambda: reader.run("return document.querySelector('#trial .drawn')"))
    said = reader.run(
        "return Object.fromEntries([...document.querySelectorAll('#trial pre')].map((e) => [e.className, e.textContent]))"
    )
    assert said["error"] == f"ValueError: {SHOWN}\nsecond line"
    assert json.loads(said["config"])["training"]["epochs"] == 15
    assert reader.run("return document.querySelector('#trial .plot').data[0].x.length") == 15
    ActionChains(reader.driver).send_keys(Keys.ESCAPE).perform()
    assert not reader.run("return document.getElementById('trial').open")


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_in_both_schemes_without_scrolling_sideways(browser: Reader, scheme: str) -> None:
    browser.open(390, scheme)
    assert browser.run("return document.documentElement.scrollWidth") == 390
    paper = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    browser.click("#theme")
    assert browser.run("return getComputedStyle(document.body).backgroundColor") != paper
    browser.run("localStorage.clear()")


@needs_browser
def test_on_paper_every_figure_is_drawn_and_hidden_tasks_are_hidden_again(reader: Reader) -> None:
    undrawn = "return document.querySelectorAll('.figures .plot:not(.drawn)').length"
    hidden = "return [...document.querySelectorAll('[role=tabpanel]')].map((each) => each.hidden)"
    before = reader.run(hidden)
    assert reader.run(undrawn) > 0
    assert any(before)
    reader.tell("Page.printToPDF")
    assert reader.run(undrawn) == 0
    assert reader.run(hidden) == before


@needs_browser
def test_nothing_is_said_to_the_console_or_to_the_network(reader: Reader) -> None:
    reader.run("window.scrollTo(0, document.body.scrollHeight)")
    reader.click("[role=tab]:last-child")
    reader.wait(lambda: reader.run("return document.querySelector('#task-1 .drawn')"))
    assert reader.driver.get_log("browser") == []
    said = [json.loads(entry["message"])["message"] for entry in reader.driver.get_log("performance")]
    urls = {
        each["params"]["request"]["url"] for each in said if each["method"] == "Network.requestWillBeSent"
    }
    own = {url for url in urls if not url.startswith(("data:", "blob:", "chrome:", "about:"))}
    assert own == reader.opened


def test_the_page_reads_as_a_document_without_scripts() -> None:
    text = made(*synthetic(["dense", "magnitude", "random", NASTY], 1, [0.5, 0.1], 3))
    assert "<script>alert(1)" not in text
    visible = text[: text.index('<script type="application/gzip"')]
    for part in ("Findings", "Checklist of good practice", "<td>magnitude</td>", "densities: [0.5, 0.2]"):
        assert part in visible
    assert re.search(
        r"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'sha256-",
        text,
    )
    assert not re.search(r"<(link|img|iframe)\b| on\w+=", visible)


def test_the_same_results_give_the_same_page() -> None:
    one, other = (made(*synthetic(["dense", "magnitude", "random"], 1, [0.1], 2)) for _ in range(2))
    assert one == other


@pytest.mark.slow  # beside it: test_the_page_reads_as_a_document_without_scripts
def test_five_thousand_trials_take_less_than_six_megabytes() -> None:
    labels = ["dense", "magnitude", "random", *(f"method {number}" for number in range(10))]
    trials, curves = synthetic(labels, 8, [0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002], 7)
    assert len(trials) >= 5_000
    assert len(made(trials, curves).encode()) < 6e6
