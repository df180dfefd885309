"""Strengths that match densities: found in few trainings, and by stored rows alone."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

import switchbench
from switchbench.cli.commands.experiments import _end
from switchbench.compare.calibration import MOST, Calibration
from switchbench.compare.plan import plan
from switchbench.errors import ExitCode, InputError
from switchbench.row import Row, Status
from switchbench.spec.comparison import Spec
from switchbench.spec.file import parse
from switchbench.spec.strength import WITHIN, Strength
from switchbench.spec.trial import TrialConfig
from switchbench.store.ledger import Ledger

pytestmark = pytest.mark.usefixtures("without_figures")

TARGETS = [0.05, 0.02, 0.01, 0.002]


def spec(**changes: Any) -> Spec:
    return parse(
        {
            "name": "matched",
            "networks": [{"network": "mlp", "label": "small", "hidden": [20]}],
            "datasets": ["digits"],
            "methods": ["magnitude", "str", "dense"],
            "densities": TARGETS,
            "seeds": 2,
            "match_density": True,
            "training": {"steps": 20},
        }
        | changes
    )


class MadeUp(Ledger):
    """Rows of trainings that were not run: density is a function of strength."""

    def __init__(self, density: Callable[[float], float], status: Status = Status.VALIDATED) -> None:
        super().__init__("made-up")
        self.density, self.status = density, status
        self.stored: dict[str, Row] = {}

    def run(self, trial: TrialConfig) -> None:
        density = self.density(trial.method.options["strength"])
        row = Row(**vars(trial.planned), status=self.status)
        self.stored[trial.trial_id] = Row(**{**vars(row), "density": density})

    def row(self, trial_id: str) -> Row | None:
        return self.stored.get(trial_id)


def settle(
    given: Spec, ledger: MadeUp, each: int | None = None, found_before: Sequence[Strength] = ()
) -> Calibration:
    """Run calibration runs until none is left; ``each``: so many of a round, then look again."""
    for _ in range(500):
        found = Calibration.of(given, ledger, found_before=found_before)
        if not found.todo:
            return found
        for trial in found.todo[:each]:
            ledger.run(trial)
    raise AssertionError("calibration does not end")


LANDSCAPES: dict[str, Callable[[float], float]] = {
    "power": lambda strength: min(1.0, 0.02 * strength**-0.7),
    "steep": lambda strength: min(1.0, 0.3 * (strength / 0.085) ** -6),
    "noisy": lambda strength: min(1.0, 0.02 * strength**-0.7 * (1 + 0.02 * math.sin(1e4 * strength))),
    "curved": lambda strength: math.exp(-5 * strength**0.5),
    "from below": lambda strength: 1e-4 * strength**-0.8,
}


@pytest.mark.parametrize("name", LANDSCAPES)
def test_strengths_are_found_for_all_targets(name: str) -> None:
    found = settle(spec(), MadeUp(LANDSCAPES[name]))
    assert [strength.density for strength in found.strengths] == TARGETS
    for strength in found.strengths:
        assert strength.strength is not None
        assert abs(math.log(LANDSCAPES[name](strength.strength) / strength.density)) <= math.log1p(WITHIN)
    assert sum(strength.trainings for strength in found.strengths) <= 6 * len(TARGETS)


@pytest.mark.parametrize("name", LANDSCAPES)
def test_the_way_there_does_not_depend_on_interruptions(name: str) -> None:
    whole, parts = MadeUp(LANDSCAPES[name]), MadeUp(LANDSCAPES[name])
    assert settle(spec(), whole).strengths == settle(spec(), parts, each=1).strengths
    assert whole.stored.keys() == parts.stored.keys()


@pytest.mark.parametrize("name", LANDSCAPES)
def test_targets_that_come_later_change_no_strength(name: str) -> None:
    ledger, targets = MadeUp(LANDSCAPES[name]), [0.05, 0.01]
    before = settle(spec(densities=targets), ledger).strengths
    after = settle(spec(densities=[0.05, 0.03, 0.02, 0.01]), ledger, found_before=before).strengths
    assert [strength for strength in after if strength.density in targets] == before
    assert len(after) == 4


def test_a_strength_that_another_training_found_is_found_again() -> None:
    ledger = MadeUp(LANDSCAPES["power"])
    before = settle(spec(), ledger).strengths
    given = spec(training={"steps": 30})
    assert Calibration.of(given, ledger, found_before=before).left == len(TARGETS)
    assert Calibration.of(spec(), MadeUp(LANDSCAPES["power"]), found_before=before).left == len(TARGETS)


def test_targets_that_one_strength_may_meet_are_refused() -> None:
    said = "densities: 0.0915 and 0.1 are so near to each other that one strength may meet both"
    with pytest.raises(InputError, match=said):
        spec(densities=[0.1, 0.0915])
    assert spec(densities=[0.1, 0.0915], match_density=False).densities
    assert spec(densities=[0.1, 0.0915], methods=["magnitude"]).densities
    assert spec(densities=[0.1, 0.09]).densities


def test_entries_that_calibration_would_make_the_same_are_refused() -> None:
    other = {"method": "str", "label": "other", "strength": 3.0}
    said = "methods: 'str' and 'other' do not differ, or in strength alone, which match_density finds; remove one"
    with pytest.raises(InputError, match=said):
        spec(methods=["str", "magnitude", other])
    assert spec(methods=["str", other], match_density=False).trials()
    for changes in ({"training": {"lr": 0.5}}, {"start": -3.0}):
        assert spec(methods=["str", other | changes]).methods


def test_a_density_that_no_strength_meets_is_said_to_be_out_of_reach() -> None:
    found = settle(spec(), MadeUp(lambda strength: 0.04 if strength < 0.1 else 0.0))
    assert {strength.density: strength.strength for strength in found.strengths} == dict.fromkeys(TARGETS)
    assert max(strength.trainings for strength in found.strengths) == MOST
    idle = settle(spec(), MadeUp(lambda strength: 0.5))
    assert {strength.strength for strength in idle.strengths} == {None}
    assert sum(strength.trainings for strength in idle.strengths) == 2


@pytest.mark.parametrize("status", [Status.FAILED, Status.SKIPPED])
def test_no_training_follows_one_that_failed(status: Status) -> None:
    ledger = MadeUp(lambda strength: 0.0, status)
    found = settle(spec(), ledger)
    assert len(ledger.stored) == 1
    strengths = [strength.strength for strength in found.strengths]
    first = 0.085 if status == Status.SKIPPED else None  # one trial, whose row says why it was skipped
    assert strengths == [first, None, None, None]


def test_a_training_that_failed_is_tried_again_on_request() -> None:
    ledger = MadeUp(lambda strength: 0.0, Status.FAILED)
    settle(spec(), ledger)
    assert not Calibration.of(spec(), ledger).todo
    [again] = Calibration.of(spec(), ledger, retry_failed=True).todo
    assert again.trial_id in ledger.stored
    ledger.density, ledger.status = LANDSCAPES["power"], Status.VALIDATED
    ledger.run(again)
    assert None not in [strength.strength for strength in settle(spec(), ledger).strengths]


def test_seeds_of_calibration_runs_are_none_of_the_comparison() -> None:
    given = spec(seeds=[1000, 3])
    assert {trial.seed for trial in Calibration.of(given, MadeUp(lambda strength: 0.1)).todo} == {1001}


def test_matched_methods_stand_in_the_columns_and_others_as_before() -> None:
    given = spec()
    found = settle(given, MadeUp(LANDSCAPES["power"])).strengths
    trials = given.model_copy(update={"strengths": found}).trials()
    columns = {
        label: [
            each.planned.target_density for each in trials if each.method.label == label and not each.seed
        ]
        for label in ("magnitude", "str", "dense")
    }
    assert columns == {"magnitude": TARGETS, "str": TARGETS, "dense": [None]}
    assert len({trial.trial_id for trial in trials}) == len(trials) == 2 * 9
    by_hand = TrialConfig.of(
        network={"network": "mlp", "hidden": [20]},
        dataset="digits",
        method={"method": "str", "strength": found[2].strength},
        training={"steps": 20},
    )
    matched = next(
        trial for trial in trials if trial.planned.target_density == 0.01 and trial.density is None
    )
    assert matched.trial_id == by_hand.trial_id  # how a strength was found is not part of the identity
    assert matched.planned.calibration == found[2].trainings


def test_the_plan_counts_the_trials_of_strengths_that_are_not_known_yet(tmp_path: Path) -> None:
    planned = plan(spec(start={"epochs": 1}), tmp_path)
    assert len(planned.calibration.finals) == len(TARGETS) * 2
    assert {trial.seed for trial in planned.calibration.finals} == {0, 1}
    assert len(planned.starts) == 3  # the calibration runs have a seed of their own
    costs = planned.costs()
    assert costs["str on small, digits, fc"].trials == len(TARGETS) * 2
    assert costs["all"].trials == 2 * (1 + 2 * len(TARGETS)) + MOST * len(TARGETS) + 3


def test_strengths_without_matching_are_refused() -> None:
    with pytest.raises(InputError, match="strengths: have no effect without match_density"):
        spec(match_density=False, strengths=[{"strength": 1.0, "density": 0.1} | PLACE])
    with pytest.raises(InputError, match="is used twice"):
        spec(strengths=2 * [{"strength": 1.0, "density": 0.1} | PLACE])


@pytest.mark.parametrize("error", [None, "RuntimeError: broken"])
def test_the_report_names_targets_that_were_not_reached(error: str | None, tmp_path: Path) -> None:
    given = spec(
        densities=[0.1], strengths=[{"strength": None, "density": 0.1, "trainings": 3} | PLACE], seeds=1
    )
    ledger = Ledger(tmp_path)
    ledger.create(given, given.trials())
    reason = "no strength met this density in 3 calibration runs"
    if error:
        [trial] = Calibration.of(spec(densities=[0.1]), MadeUp(lambda strength: 0.0)).todo
        ledger.calibration.create(given, [trial])
        ledger.calibration.write(Row(**vars(trial.planned), status=Status.FAILED, error=error), [])
        reason = f"a calibration run failed: {error} (calibration run {trial.trial_id})"
    results = switchbench.report(tmp_path)
    text = (tmp_path / "report" / "report.md").read_text()
    assert f"- not reached: str on small, digits, fc at 0.1: {reason}" in text.splitlines()
    assert "3 trials without a measurement" in (tmp_path / "report" / "index.html").read_text()
    results["status"] = Status.OK
    if error:
        with pytest.raises(typer.Exit) as ended:
            _end(results, as_json=False, quiet=True)
        assert ended.value.exit_code == ExitCode.FAILED
    else:
        _end(results, as_json=False, quiet=True)


PLACE = {"network": "small", "dataset": "digits", "scope": "fc", "method": "str"}


@pytest.mark.cluster
def test_a_run_finds_strengths_and_its_stored_spec_needs_no_search_for_them(tmp_path: Path) -> None:
    given = spec(
        methods=["dst", "dense"],
        densities=[0.7, 0.45],
        training={"epochs": 10, "batch_size": 64},
        networks=[{"network": "mlp", "label": "small", "hidden": [64, 32]}],
    )
    rows = switchbench.run(given, tmp_path / "one", mlflow_uri="none")
    matched = rows[rows["label"] == "dst"]
    assert sorted(matched["target_density"]) == [0.45, 0.45, 0.7, 0.7]
    for target, density in zip(matched["target_density"], matched["density"], strict=True):
        assert density == pytest.approx(target, rel=0.2)
    assert matched["calibration"].ge(1).all()
    trials = Ledger(tmp_path / "one").calibration.results()
    assert trials["status"].eq("validated").all()
    assert trials["test_accuracy"].isna().all()
    again = plan(given, tmp_path / "one")
    assert again.is_done
    other = plan(tmp_path / "one" / "spec.yaml", tmp_path / "other")
    assert not other.calibration.todo
    assert [trial.trial_id for trial in other.todo] == [trial.trial_id for trial in again.trials]
