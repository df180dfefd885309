"""The command line: bad input is one clear line with exit code 2, and writes nothing."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from switchbench import datasets
from switchbench.cli import app as cli
from switchbench.compare.plan import plan
from switchbench.datasets import DATASETS, MissingData

GOOD = """
name: small
networks: [{network: mlp, hidden: [20]}]
datasets: [digits]
methods: [dense, magnitude]
densities: [0.2, 0.1]
seeds: 2
training: {steps: 20}
"""


PUBLISHED = Path(__file__).parent.parent / "docs" / "results" / "fashion-mnist"


class Outcome:
    """What a command printed and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def switchbench(monkeypatch: Any, capsys: Any, tmp_path: Path) -> Any:
    """Run the command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["switchbench", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


BAD = {
    "unknown method": (
        "methods: [dense, magnitud]",
        ["methods[1]", "'magnitud'", "did you mean 'magnitude'?"],
    ),
    "unknown network": ("networks: [lenet-300-10]", ["networks[0]", "did you mean 'lenet-300-100'?", "mlp"]),
    "unknown data set": ("datasets: [digit]", ["datasets[0]", "did you mean 'digits'?", "fashion-mnist"]),
    "misspelt key": ("densites: [0.1]", ["'densites'", "did you mean 'densities'?"]),
    "key of a part": ("density: [0.1]", ["'density'", "did you mean 'densities' or 'search.density'?"]),
    "misspelt inner key": (
        "training: {epoch: 3}",
        ["training: unknown key 'epoch'", "did you mean 'epochs'?"],
    ),
    "misspelt key of a start": ("start: {epoch: 3}", ["start: unknown key 'epoch'", "'epochs'?"]),
    "misspelt key of an augmentation": (
        "training: {steps: 1, augment: {corp: 4}}",
        ["training.augment: unknown key 'corp'", "did you mean 'crop'?"],
    ),
    "misspelt key of a scope": ("scope: {layer: all}", ["unknown key 'layer'", "did you mean 'layers'?"]),
    "misspelt key of several scopes": (
        "scope: [fc, {layers: all, excludes: [x]}]",
        ["scope[1]: unknown key 'excludes'", "did you mean 'exclude'?"],
    ),
    "arrays of a folder": ("datasets: [{dataset: arrays, path: /tmp}]", ["path: ", "/tmp: no such file"]),
    "misspelt option": (
        "methods: [{method: l1, strenght: 1}]",
        ["methods[0]", "method 'l1'", "'strenght'", "did you mean 'strength'?"],
    ),
    "misspelt key of a method's entry": (
        "methods: [{method: magnitude, densites: [0.1]}]",
        ["methods[0]", "unknown key 'densites'", "did you mean 'densities'?"],
    ),
    "misspelt key of a range": (
        "search: {density: {low: 0.1, high: 0.5, lgo: true}}",
        ["search.density: unknown key 'lgo'", "did you mean 'low'?"],
    ),
    "option out of range": ("methods: [{method: magnitude, end: 2}]", ["methods[0]", "end", "2", "1"]),
    "options out of order": ("methods: [{method: magnitude, begin: 0.8}]", ["begin 0.8", "before end 0.75"]),
    "density 0": ("densities: [0.1, 0]", ["densities[1]", "0", "greater than 0"]),
    "density 1.5": ("densities: [1.5]", ["densities[0]", "1.5", "less than or equal to 1"]),
    "density twice": ("densities: [0.1, 0.1]", ["densities", "0.1", "twice"]),
    "negative seed count": ("seeds: -1", ["seeds", "-1", "1 or more"]),
    "seeds in words": ("seeds: two", ["seeds: 'two' should be a number of seeds", "or a list of seeds"]),
    "negative seed": ("seeds: [0, -1]", ["seeds[1]", "-1", "greater than or equal to 0"]),
    "empty method list": ("methods: []", ["methods: [] should have 1 or more entries"]),
    "same label twice": (
        "methods: [magnitude, {method: magnitude, end: 0.5}]",
        ["methods", "'magnitude'", "twice"],
    ),
    "same method twice": (
        "methods: [l1, {method: l1, label: b}]",
        ["'l1' on 'mlp'", "'b' on 'mlp'", "are the same trial"],
    ),
    "not a mapping": ("training: 3", ["training", "3"]),
    "no length": ("training: {lr: 0.1}", ["training", "epochs or steps"]),
    "bad scope": ("scope: conv", ["scope", "'conv'", "'fc' or 'all'"]),
    "bad optimizer": ("training: {steps: 1, optimizer: adm}", ["training.optimizer", "'adm'", "'adam'"]),
    "name that is no text": ("methods: [{method: [l1]}]", ["methods[0]", "unknown method ['l1']"]),
    "seed too large": ("seeds: [100000000000000000000]", ["seeds[0]", "less than"]),
    "part of two GPUs": ("resources: {gpus: 1.5}", ["resources.gpus", "1.5", "whole number"]),
    "infinite": ("training: {steps: 1, lr: .inf}", ["training.lr", "inf", "finite"]),
    "empty label": ("methods: [{method: dense, label: ''}]", ["methods[0].label", "''"]),
    "label of two lines": ('methods: [{method: dense, label: "a\\nb"}]', ["methods[0].label"]),
    "bad name": ("name: a/b", ["name: 'a/b' should be letters, digits"]),
    "number for a list": (
        "networks: [{network: mlp, hidden: 100}]",
        ["hidden: 100 should be a list, such as [100]"],
    ),
    "key twice": ("seeds: 2\nseeds: 3", ["not YAML", "duplicate key"]),
    "not YAML": ("methods: [dense", ["not YAML", "line"]),
    "label with an escape code": (
        'methods: [{method: dense, label: "a\\e[31mb"}]',
        ["methods[0].label", "printable"],
    ),
    "too many seeds": ("seeds: 20000000", ["seeds", "20000000", "10,000 at most"]),
    "number of thousands of digits": (f"seeds: {'9' * 5000}", ["digits"]),
    "no float": ("validation: !!float x", ["x"]),
    "nested a thousand deep": (f"methods: {'[' * 2000}{']' * 2000}", ["nested too deeply"]),
    "aliases that multiply": (
        "methods: ["
        + ", ".join(["&a0 [x]", *(f"&a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))])
        + "]",
        ["more than 100,000 values"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_specs(case: str, switchbench: Any, tmp_path: Path) -> None:
    line, parts = BAD[case]
    key = line.split(":")[0]
    kept = [text for text in GOOD.strip().splitlines() if not text.startswith(f"{key}:")]
    (tmp_path / "bad.yaml").write_text("\n".join([*kept, line]) + "\n")
    outcome = switchbench("run", "bad.yaml", "--out", "out")
    assert outcome.code == 2
    assert outcome.err.startswith("switchbench: bad.yaml: ") or case == "same method twice"
    assert outcome.err.count("\n") == 1, outcome.err
    for part in parts:
        assert part in outcome.err
    assert not (tmp_path / "out").exists()
    assert outcome.out == ""


BARE = """
from switchbench.{kind} import *
from switchbench.{kind} import register

@register("bare")
class Bare{base}:
    '''Lacks a base.'''
"""
BEYOND = """
from switchbench.methods import Method, option, register

@register("beyond")
class Beyond(Method):
    '''Has a default beyond its bounds.'''

    class Config(Method.Config):
        fade: float = option(2.0, "share of training", gt=0, lt=1)
"""


def one_line(outcome: Outcome, *parts: str) -> None:
    assert outcome.code == 2, outcome.err
    assert outcome.err.count("\n") == 1, outcome.err
    assert outcome.err.startswith("switchbench: ")
    for part in parts:
        assert part in outcome.err


def test_a_folder_that_shows_another_comparison_says_so(
    switchbench: Any, tmp_path: Path, without_ray: None, without_figures: None
) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    changes = ("--set", "methods=[dense]", "--set", "seeds=1")
    arguments = ("run", "good.yaml", "--out", "out", "--mlflow-uri", "none", *changes)
    assert "showed the comparison" not in switchbench(*arguments).out
    first = next((tmp_path / "out" / "trials").iterdir()).stem
    said = switchbench(*arguments, "--set", "name=other", "--set", "seeds=[7]").out
    assert "showed the comparison 'small', and now shows 'other'; the trials of 'small' stay stored" in said
    one_line(
        switchbench("trial", "out", first[:8]), "is stored in", "not of the spec that ran there last (other)"
    )
    assert "showed the comparison 'other'" in switchbench(*arguments).out
    assert switchbench("trial", "out", first[:8]).code == 0


def test_what_fails_is_said_with_the_remedy(
    switchbench: Any, tmp_path: Path, without_ray: None, without_figures: None, without_plugins: None
) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "raises.py").write_text(
        BEYOND.replace("2.0", "0.5") + "    def setup(self, batch): raise ValueError"
    )
    arguments = (
        "run",
        "good.yaml",
        "--plugin",
        "raises.py",
        "--mlflow-uri",
        "none",
        "--set",
        "methods=[beyond]",
    )
    outcome = switchbench(*arguments)
    assert outcome.code == 3
    assert "failed: the same command with --retry-failed runs them again" in outcome.out
    again = switchbench(*arguments, "--quiet")
    assert (again.code, again.out) == (3, "")
    assert again.err.endswith("trials failed or are missing; --retry-failed runs those that failed again\n")


def test_messages_are_in_the_users_words(switchbench: Any, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    for change, said in (
        ("training.steps=2.5", "training.steps: 2.5 should be a whole number"),
        ("name=", "name: None should be text"),
        (
            "methods=[dense, dense]",
            "label 'dense' is used twice; labels must be unique: give one entry another, as",
        ),
    ):
        one_line(switchbench("run", "good.yaml", "--set", change), said)
    one_line(
        switchbench("search", "good.yaml"), "small: search: is required, as in --set 'search={points: 10}'"
    )
    outcome = switchbench("export", "x/y", "--format", "tflite")
    one_line(outcome, "Invalid value for '--format': 'tflite' is not one of")


def test_a_dry_run_refuses_what_a_run_refuses(switchbench: Any, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    one_line(switchbench("run", "good.yaml", "--dry-run", "--jobs", "-1"), "--jobs -1: should be 0 or more")
    part = "search={points: 2, density: 0.1, space: {l1.strength: {low: 0.1, high: 1}}}"
    search = ("search", "good.yaml", "--set", part, "--set", "methods=[l1]", "--dry-run")
    assert "0.002: outside, not tried" in switchbench(*search).out
    one_line(switchbench(*search, "--warm-start", "nope"), "--warm-start nope: no such folder")


def test_output_folders_that_are_no_paths(switchbench: Any, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    one_line(switchbench("run", "good.yaml", "--out", "loop"), "output folder", "loop")
    one_line(switchbench("run", "good.yaml", "--out", "x" * 5000), "output folder", "File name too long")


def test_passwords_are_in_no_message(switchbench: Any, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    planned = plan(tmp_path / "good.yaml", "results")
    planned.ledger.create(planned.spec, planned.trials)
    outcome = switchbench("sync", "results", "--mlflow-uri", "http://me:secret@127.0.0.1:9")
    one_line(outcome, "MLflow at http://…@127.0.0.1:9: ")
    assert "secret" not in outcome.err


def test_missing_file_and_near_misses(switchbench: Any, tmp_path: Path) -> None:
    one_line(switchbench("run", "nowhere.yaml"), "nowhere.yaml: No such file", "shipped specs: ")
    one_line(switchbench("run", "quikstart"), "did you mean 'quickstart'?")
    one_line(switchbench("run", "."), ".: is a folder")
    (tmp_path / "text.yaml").write_text("just words")
    one_line(switchbench("run", "text.yaml"), "text.yaml: not a spec")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    one_line(switchbench("run", "binary.yaml"), "binary.yaml: not YAML")
    assert not (tmp_path / "results").exists()


def test_bad_changes(switchbench: Any, tmp_path: Path) -> None:
    one_line(switchbench("run", "quickstart", "--set", "training.epochs"), "expected key.key=value")
    one_line(switchbench("run", "quickstart", "--set", "training.epoch=3"), "did you mean 'epochs'?")
    outcome = switchbench("run", "quickstart", "--set", "seeds=2", "--set", "epoch=3")
    one_line(outcome, "switchbench: --set epoch=3: unknown key 'epoch'; did you mean 'training.epochs'?")
    one_line(
        switchbench("run", "quickstart", "--set", "densities=[10]"), "--set densities=[10]: densities[0]: 10"
    )
    one_line(
        switchbench("run", "quickstart", "--set", "name.x=3"), "--set name.x=3", "'name' is not a mapping"
    )
    one_line(switchbench("run", "quickstart", "--set", "seeds=[1"), "not YAML")
    assert not (tmp_path / "results").exists()


def test_unwritable_output_folder(switchbench: Any, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "file").touch()
    one_line(
        switchbench("run", "good.yaml", "--out", "file/out"), "output folder", "file/out", "Not a directory"
    )
    one_line(switchbench("run", "good.yaml", "--out", "/proc/nowhere"), "output folder /proc/nowhere")


def test_folders_that_may_not_be_read(switchbench: Any, tmp_path: Path, monkeypatch: Any) -> None:
    def denied(*_: Any, **__: Any) -> bool:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "good.yaml").write_text(GOOD)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "exists", denied)
        one_line(switchbench("run", "good.yaml", "--out", "out"), "output folder", "out: Permission denied")
    monkeypatch.setattr(Path, "is_file", denied)
    one_line(switchbench("run", "good.yaml"), "good.yaml: Permission denied")


def test_a_url_is_no_folder(switchbench: Any, tmp_path: Path) -> None:
    one_line(switchbench("run", "quickstart", "--out", "ftp://host/x"), "ftp:/host/x", "s3://BUCKET/FOLDER")
    assert not (tmp_path / "ftp:").exists()


def test_a_validation_split_without_images(switchbench: Any, tmp_path: Path) -> None:
    change = "validation=1e-6"
    one_line(switchbench("run", "quickstart", "--set", change, "--out", "out"), "1437 images", "empty")
    assert not (tmp_path / "out").exists()


def test_missing_data_set(switchbench: Any, tmp_path: Path, monkeypatch: Any) -> None:
    @datasets.register("elsewhere")
    def loader(folder: Path) -> Any:
        """Not here."""
        raise MissingData("data set 'digits' is not here: looked in X; get it from Y")

    monkeypatch.setitem(DATASETS, "digits", DATASETS.pop("elsewhere"))
    datasets.forget_loaded()
    (tmp_path / "good.yaml").write_text(GOOD)
    one_line(
        switchbench("run", "good.yaml", "--out", "out"), "'digits' is not here: looked in X; get it from Y"
    )
    assert not (tmp_path / "out").exists()
    datasets.forget_loaded()


def test_bad_plugins(switchbench: Any, tmp_path: Path) -> None:
    one_line(switchbench("run", "quickstart", "--plugin", "none.py"), "plug-in", "none.py")
    (tmp_path / "taken.py").write_text(
        "from switchbench import Method, register\n@register('dense')\nclass Mine(Method):\n    '''Mine.'''\n"
    )
    one_line(switchbench("run", "quickstart", "--plugin", "taken.py"), "the method name 'dense' is taken")
    (tmp_path / "wordy.py").write_text("raise ValueError('two\\nlines')")
    one_line(switchbench("run", "quickstart", "--plugin", "wordy.py"), "ValueError: two lines")
    (tmp_path / "bare.py").write_text(BARE.format(kind="methods", base=""))
    one_line(
        switchbench("check", "bare.py"),
        "method 'bare': class Bare should derive from switchbench.methods.Method",
    )
    (tmp_path / "lone.py").write_text(BARE.format(kind="networks", base="(Network)"))
    one_line(
        switchbench("list", "bare", "--plugin", "lone.py"),
        "class Bare should derive from torch.nn.Module as well",
    )
    (tmp_path / "beyond.py").write_text(BEYOND)
    problem = "class Beyond has an option 'fade' whose default 2.0 should be less than 1"
    one_line(switchbench("check", "beyond.py"), f"method 'beyond': {problem}")
    assert not (tmp_path / "results").exists()


def test_an_edited_plugin_is_another_method(switchbench: Any, tmp_path: Path, monkeypatch: Any) -> None:
    from switchbench.methods import METHODS

    ids = []
    for comment in ("one", "two", "one"):
        (tmp_path / "mine.py").write_text(
            "from switchbench.methods import Magnitude, register\n"
            f"@register('mine')\nclass Mine(Magnitude):\n    'Mine.'  # {comment}\n"
        )
        arguments = ("--plugin", "mine.py", "--set", "methods=[mine]", "--dry-run")
        ids.append(switchbench("run", "quickstart", *arguments).out.split(" state\n")[1])
        monkeypatch.delitem(METHODS, "mine")
    assert ids[0] == ids[2] != ids[1]


@pytest.mark.parametrize(
    ("pair", "clues"),
    [
        ("magnitud:dense", ["--pair", "'magnitud'", "did you mean 'magnitude'?"]),
        ("magnitude", ["--pair 'magnitude'", "A:B"]),
        ("magnitude:magnitude", ["--pair magnitude:magnitude", "should name two different methods"]),
    ],
)
def test_pairs_are_of_methods_in_the_report(switchbench: Any, pair: str, clues: list[str]) -> None:
    shutil.copytree(PUBLISHED, "results", ignore=shutil.ignore_patterns("report"))
    one_line(switchbench("report", "results", "--pair", pair), *clues)
    assert not Path("results", "report").exists()


@pytest.mark.parametrize(
    ("options", "clues"),
    [
        (["--baseline", "magnitud"], ["--baseline: unknown label 'magnitud'; did you mean 'magnitude'?"]),
        (["--margin", "0"], ["--margin 0: should be above 0 and at most 100 percentage points"]),
        (["--margin", "nan"], ["--margin nan: should be above 0"]),
    ],
)
def test_a_baseline_is_a_method_and_a_margin_is_positive(
    switchbench: Any, options: list[str], clues: list[str]
) -> None:
    shutil.copytree(PUBLISHED, "results", ignore=shutil.ignore_patterns("report"))
    one_line(switchbench("report", "results", *options), *clues)
    assert not Path("results", "report").exists()


def test_all_methods_are_compared_with_a_baseline(switchbench: Any) -> None:
    shutil.copytree(PUBLISHED, "results", ignore=shutil.ignore_patterns("report"))
    outcome = switchbench("report", "results", "--baseline", "magnitude", "--margin", "0.5")
    assert outcome.code == 0
    text = Path("results", "report", "report.md").read_text()
    for label in ("random", "l1", "switcher"):
        assert f"| {label} | magnitude |" in text
    assert "| dense | magnitude |" not in text  # the table to-dense has it
    assert "| magnitude | magnitude |" not in text
    assert "difference of at least 0.5 points" in text


def test_reports_and_mirrors_need_results(switchbench: Any, tmp_path: Path) -> None:
    one_line(switchbench("report", "nowhere"), "nowhere: no such folder")
    one_line(switchbench("sync", "nowhere"), "nowhere: no such folder")
    one_line(switchbench("sync", "nowhere", "--mlflow-uri", "none"), "--mlflow-uri none")
    one_line(switchbench("pull", "--mlflow-uri", "none"), "--mlflow-uri none")
    one_line(switchbench("pull", "--mlflow-uri", "sqlite:///nowhere.db"), "no such file: nowhere.db")
    assert not (tmp_path / "nowhere").exists()
    one_line(switchbench("sync", "nowhere", "--mlflow-uri", "bogus"), "--mlflow-uri bogus: should be http://")
    one_line(
        switchbench("pull", "--mlflow-uri", "http://127.0.0.1:9"),
        "no answer from 127.0.0.1:9 (Connection refused)",
    )


def test_a_folder_of_comparisons_names_them(switchbench: Any) -> None:
    shutil.copytree(PUBLISHED, Path("results", "one"), ignore=shutil.ignore_patterns("report"))
    Path("results", "one", "report").mkdir()
    for part in ("calibration", "search"):  # of a comparison that has not begun
        Path("results", "two", part).mkdir(parents=True)
        Path("results", "two", part, "plan.parquet").touch()
        one_line(switchbench("list", "results/two/"), f"holds no comparison (its {part} has not ended)")
        shutil.rmtree(Path("results", "two"))
    for command in ("report", "status", "list"):
        one_line(
            switchbench(command, "results"), "holds no comparison (name one of those in it: ", "results/one"
        )
    one_line(switchbench("report", "."), "holds no comparison (name one of those in it: ", "/results/one)")
    one_line(switchbench("export", "results/one"), "results/one: is a comparison; add the id of a trial")
    one_line(switchbench("report", "results/one", "--sort", "0.7"), "unknown column '0.7'", "0.1", "0.01")


def test_a_density_that_keeps_no_weight_is_refused(switchbench: Any, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    told = "densities: 0.0001 keeps less than one of the 1,480 weights of network 'mlp' in scope fc"
    for more in (["--dry-run"], ["--jobs", "0"]):
        changes = ["--set", "densities=[0.1, 0.0001]"]
        one_line(switchbench("run", "good.yaml", *changes, *more), told, "the least is 0.000676")
    own = "methods=[dense, {method: random, densities: [0.0002]}]"
    one_line(
        switchbench("run", "good.yaml", "--set", own, "--dry-run"), "random.densities: 0.0002 keeps less"
    )
    unused = ["--set", own.replace("0.0002", "0.1"), "--set", "densities=[0.0001]"]
    assert switchbench("run", "good.yaml", *unused, "--dry-run").code == 0
    for density in ("0.0001", "{low: 0.0001, high: 0.5}"):
        search = f"search={{density: {density}, objectives: [val_accuracy, density]}}"
        told = "search.density: 0.0001 keeps less than one of the 1,480 weights"
        one_line(switchbench("search", "good.yaml", "--set", search, "--dry-run"), told)


def test_a_network_that_does_not_fit_is_named_by_its_place(switchbench: Any, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    outcome = switchbench("run", "good.yaml", "--set", "networks=[mlp, lenet-5]", "--dry-run")
    one_line(outcome, "networks[1], on digits: network 'lenet-5': images of 8×8 pixels are too small")


def test_a_reader_that_leaves_stops_no_report(tmp_path: Path) -> None:
    shutil.copytree(PUBLISHED, tmp_path / "one", ignore=shutil.ignore_patterns("report"))
    words = [sys.executable, "-m", "switchbench", "report", str(tmp_path / "one")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert not process.stderr.read()
        assert process.wait(timeout=120) == 0
    assert (tmp_path / "one" / "report" / "index.html").exists()


def test_dry_run_prints_the_plan_and_writes_nothing(switchbench: Any, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    outcome = switchbench("run", "good.yaml", "--out", "out", "--dry-run", "--set", "seeds=3")
    assert outcome.code == 0
    assert "small: 9 trials, 0 done, 9 to run" in outcome.out
    rows = [line for line in outcome.out.splitlines() if "to run" in line]
    assert len(rows) == 9 + 1
    assert sum(" dense " in row for row in rows) == 3  # dense runs once per seed
    assert not (tmp_path / "out").exists()


def test_dry_run_says_what_will_be_skipped_and_why(switchbench: Any, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    methods = "methods=[dense, network-slimming]"
    lines = switchbench("run", "good.yaml", "--dry-run", "--set", methods).out.splitlines()
    reason = "needs batch norms right behind the layers in scope"
    assert f"4 trials of network-slimming will be skipped: {reason}" in lines
    assert sum(line.endswith(" skipped") for line in lines) == 4
    assert not any(line.startswith(" network-slimming on ") for line in lines)  # it costs nothing


def test_one_entry_needs_no_list(switchbench: Any, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    changes = ("--set", "densities=0.1", "--set", "methods=magnitude", "--set", "datasets=digits")
    assert "small: 2 trials" in switchbench("run", "good.yaml", "--dry-run", *changes).out
    one_line(switchbench("run", "good.yaml", "--set", "densities=true"), "densities", "should be a list")


def test_json_and_a_plan_are_not_both_printed(switchbench: Any, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    one_line(switchbench("run", "good.yaml", "--dry-run", "--json"), "--json: has no effect with --dry-run")


def test_a_plan_says_which_data_are_not_here(
    switchbench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    monkeypatch.setenv("SWITCHBENCH_DATA", str(tmp_path / "none"))
    planned = switchbench("run", "good.yaml", "--dry-run", "--set", "datasets=[mnist, digits]").out
    assert (
        "mnist is not on this machine; a run downloads it, as does: switchbench data fetch mnist" in planned
    )
    assert "digits is not" not in planned


def test_what_is_no_spec_is_said_with_what_may_be_meant(switchbench: Any, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "results" / "small").mkdir(parents=True)
    (tmp_path / "results" / "small" / "spec.yaml").write_text(GOOD)
    (tmp_path / "results" / "small" / "plan.parquet").touch()
    (tmp_path / "empty.yaml").touch()
    one_line(switchbench("run", "good.yml"), "did you mean 'good.yaml'?")
    one_line(switchbench("run", "results/small"), "results/small/spec.yaml")
    one_line(switchbench("run", "empty.yaml"), "empty.yaml: is empty")
    changes = ("--set", "densities=0.2", "--set", "search.points=4")
    one_line(switchbench("run", "good.yaml", *changes), "or leave out --set search.points=4")
    one_line(
        switchbench("list", "results"),
        "results: holds no comparison (name one of those in it: results/small)",
    )
    one_line(switchbench("list", "results/"), "holds no comparison (name one of those in it: results/small)")
    one_line(switchbench("check", "good.yaml"), "good.yaml: is a spec; 'switchbench run good.yaml --dry-run'")


def test_dry_run_says_that_it_counts_dense_kernels(switchbench: Any, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    note = "≤: with dense kernels; sparse ones take fewer; ~: both ≥ and ≤ hold"
    marks = {}
    for kernels in ("dense", "sparse"):
        large = "networks=[{network: mlp, hidden: [1000, 600]}]"  # counted without values, which snip needs
        settings = large, f"training.kernels={kernels}", "methods=[dense, snip]"
        arguments = (part for setting in settings for part in ("--set", setting))
        lines = switchbench("run", "good.yaml", "--out", "out", "--dry-run", *arguments).out.splitlines()
        assert (note in lines) == (kernels == "sparse")
        costs = [line for line in lines if re.match(r" (dense|snip) on ", line)]
        marks[kernels] = [re.findall("[≤≥~]", line) for line in costs]
    assert marks == {"dense": [[], ["≥"]], "sparse": [["≤"], ["~"]]}


def test_list(switchbench: Any) -> None:
    everything = switchbench("list").out
    for name in ("magnitude", "switcher-paper", "lenet-300-100", "fashion-mnist", "quickstart"):
        assert name in everything
    assert "lenet" not in switchbench("list", "methods").out
    options = switchbench("list", "magnitude").out
    for part in ("schedule", "cubic | one-shot", "begin", "float", "0.02", "0 to 0.3", "≥ 0 < 1"):
        assert part in options
    assert "methods: [dense, random" in switchbench("list", "quickstart").out
    both = switchbench("list", "fashion-mnist").out
    assert "60,000 + 10,000 pictures" in both
    assert "magnitude-one-shot" in both
    assert switchbench("--version").out.count(".") == 2
    one_line(switchbench("list", "magnitud"), "did you mean 'magnitude'?")


def test_shipped_specs_are_valid(switchbench: Any) -> None:
    assert "quickstart: 42 trials" in switchbench("run", "quickstart", "--dry-run").out
    assert "fashion-mnist: 63 trials" in switchbench("run", "fashion-mnist", "--dry-run").out


def test_help_names_every_command(switchbench: Any) -> None:
    outcome = switchbench("--help")
    assert all(command in outcome.out for command in ("run", "report", "sync", "list"))


@pytest.mark.parametrize(
    "command", [["run", "quickstart", "--out", "", "--dry-run"], ["report", ""], ["status", ""]]
)
def test_an_empty_folder_name_is_refused(switchbench: Any, command: list[str]) -> None:
    one_line(switchbench(*command), "output folder '': should not be empty")


def test_compact_refuses_a_folder_that_is_not_there(switchbench: Any, tmp_path: Path) -> None:
    one_line(switchbench("compact", str(tmp_path / "none")), f"{tmp_path / 'none'}: no such folder")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run",), "Missing argument 'spec' (see 'switchbench run --help')"),
        (("run", "quickstart", "--otu", "x"), "No such option: --otu"),
        (("run", "quickstart", "--jobs", "many"), "Invalid value for '--jobs'"),
        (("data", "fetsh"), "No such command 'fetsh'. Did you mean 'fetch'? (see 'switchbench data --help')"),
    ],
)
def test_a_command_line_that_cannot_be_parsed_is_refused_in_one_line(
    switchbench: Any, arguments: tuple[str, ...], said: str
) -> None:
    outcome = switchbench(*arguments)
    assert outcome.code == 2
    assert outcome.err.startswith(f"switchbench: {said}")
    assert outcome.err.count("\n") == 1
    assert not outcome.out


def test_a_command_without_arguments_prints_its_help(switchbench: Any) -> None:
    outcome = switchbench("data")
    assert outcome.code == 2
    assert "fetch" in outcome.out + outcome.err
    assert "switchbench: " not in outcome.out + outcome.err


def test_a_dry_run_counts_jobs(switchbench: Any, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    for jobs in ("0", "1"):
        outcome = switchbench("run", "good.yaml", "--dry-run", "--tflops", "0.01", "--jobs", jobs)
        assert ", 1 at a time;" in outcome.out
