"""Random damage: specs give a spec or one line, files give what was written or nothing.

Hypothesis draws the damage, and shrinks what fails to the smallest example.
"""

import copy
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from switchbench.errors import InputError
from switchbench.row import Row, Status
from switchbench.spec import file as specs
from switchbench.spec import yaml_text
from switchbench.spec.comparison import Spec
from switchbench.store import tensors
from switchbench.store.ledger import Ledger

FEW = settings(
    max_examples=60, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
FEWER = settings(FEW, max_examples=15)  # of what takes longer
MANY = settings(FEW, max_examples=1_000, derandomize=False)

VALID: dict[str, Any] = {
    "name": "small",
    "networks": ["mlp", {"network": "mlp", "label": "wide", "hidden": [20, 10]}],
    "datasets": ["digits"],
    "scope": {"layers": "all", "exclude": ["x"]},
    "methods": [
        "dense",
        {"method": "magnitude", "label": "m", "end": 0.5, "densities": [0.3]},
        {"method": "random", "against": "m", "training": {"lr": 0.01}},
    ],
    "densities": [0.2, 0.1],
    "seeds": 2,
    "validation": 0.2,
    "training": {"recipe": "mnist", "epochs": 2, "batch_size": 64},
    "start": {"steps": 20},
    "resources": {"cpus": 1, "gpus": 0.5, "minutes": 3},
    "search": {"points": 3, "density": 0.1, "methods": ["m"], "space": {"m.end": [0.4, 0.6]}, "seeds": 1},
}
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.sampled_from([0, -1, 10**9, 10**400, 1e308, "", "dense", "m", "a" * 5_000, "é中\x00", "1e3", ".inf", "~"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in nested mappings and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, inner in items for found in places(inner, (*path, key)))]


@st.composite
def changed_specs(draw: st.DrawFn) -> Any:
    """The plain values of the valid spec with a few changes of its structure."""
    changed = copy.deepcopy(VALID)
    if draw(st.booleans()):
        del changed["search"]
    for _ in range(draw(st.integers(0, 3))):
        *above, last = draw(st.sampled_from(places(changed)[1:]))
        parent: Any = changed
        for key in above:
            parent = parent[key]
        kind = draw(st.sampled_from(["drop", "rename", "value", "nest", "repeat"]))
        if kind == "drop":
            del parent[last]
        elif kind == "rename" and isinstance(parent, dict):
            parent[draw(st.text(max_size=10) | st.sampled_from([*VALID, "label", 1, None]))] = parent.pop(
                last
            )
        elif kind == "nest":
            parent[last] = draw(st.sampled_from([[parent[last]], {"a": parent[last]}, {last: parent[last]}]))
        elif kind == "repeat" and isinstance(parent, list):
            parent.append(parent[last])
        else:
            parent[last] = draw(VALUES)
        if not isinstance(changed, dict) or not places(changed)[1:]:
            break
    return changed


def yaml_of(raw: Any) -> str:
    stream = io.StringIO()
    YAML(typ="safe", pure=True).dump(raw, stream)
    return stream.getvalue()


def spec_or_line(call: Callable[[], Spec]) -> None:
    """A spec that lists its trials and is read again as itself, or one line."""
    try:
        spec = call()
        if len(spec.seeds) * len(spec.densities) * len(spec.methods) < 20:
            spec.trials()
        assert specs.parse(spec.model_dump(mode="json")) == spec
        line = "valid"
    except InputError as error:
        line = str(error)
    assert line
    assert "\n" not in line


def check_structure(raw: Any) -> None:
    spec_or_line(lambda: specs.parse(raw))


def check_text(file: Path, data: st.DataObject) -> None:
    text = yaml_of(VALID)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        inserted = data.draw(
            st.text(max_size=5) | st.sampled_from([*"[]{}:,&*!|>'\"%@`#-?\t\n", "&a ", "*a ", "!!"])
        )
        text = text[:at] + inserted + text[at + data.draw(st.integers(0, 5)) :]
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    spec_or_line(lambda: specs.load(file))


@FEWER
@given(raw=changed_specs())
def test_a_changed_spec_is_a_spec_or_one_line(raw: Any) -> None:
    check_structure(raw)


@FEWER
@given(data=st.data())
def test_changed_text_is_a_spec_or_one_line(tmp_path: Path, data: st.DataObject) -> None:
    check_text(tmp_path / "spec.yaml", data)


@pytest.mark.filterwarnings("error")
def test_a_spec_may_use_an_anchor_again() -> None:
    text = b"first: [&a 1, *a]\nsecond: [&a 2, *a]\n"
    assert yaml_text.read_plain(text, "x.yaml") == {"first": [1, 1], "second": [2, 2]}


@pytest.mark.slow  # above with few examples
@MANY
@given(raw=changed_specs())
def test_many_changed_specs(raw: Any) -> None:
    check_structure(raw)


@pytest.mark.slow  # above with few examples
@MANY
@given(data=st.data())
def test_many_changed_texts(tmp_path: Path, data: st.DataObject) -> None:
    check_text(tmp_path / "spec.yaml", data)


# Files

STATE = {"a": torch.arange(12.0).view(3, 4), "b": torch.arange(3)}
CHECKPOINT = {"stamp": "x", "state": {"step": 3, "network": STATE, "curves": [{"loss": 0.5}]}}
CURVES = [{"epoch": 0.0, "loss": 1.5}, {"epoch": 1.0, "loss": 0.25}]


def damaged(content: bytes, data: st.DataObject) -> bytes:
    """Other bytes, or the same with some bits flipped, cut off, repeated or overwritten."""
    kind = data.draw(st.sampled_from(["flip", "flip", "cut", "overwrite", "insert", "random"]))
    at = data.draw(st.integers(0, len(content) - 1))
    if kind == "flip":
        changed = bytearray(content)
        for position in [at, *data.draw(st.lists(st.integers(0, len(content) - 1), max_size=3))]:
            changed[position] ^= 1 << data.draw(st.integers(0, 7))
        return bytes(changed)
    if kind == "cut":
        return content[:at]
    some = data.draw(st.binary(min_size=1, max_size=64))
    if kind == "random":
        return some
    return content[:at] + some + content[at + (len(some) if kind == "overwrite" else 0) :]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """A ledger with a plan, a row, curves, a network and a checkpoint."""
    ledger = Ledger(tmp_path_factory.mktemp("fuzz") / "out")
    spec = specs.parse({key: value for key, value in VALID.items() if key not in ("search", "start")})
    plan = spec.trials()[:2]
    ledger.create(spec, plan)
    ledger.write(Row(**plan[0].planned.__dict__, status=Status.OK, test_accuracy=0.5, macs=7), CURVES)
    ledger.networks.save(plan[0].trial_id, STATE)
    tensors.save(ledger.checkpoint(plan[0].trial_id), CHECKPOINT)
    return ledger


def same(one: Any, other: Any) -> bool:
    """Compare nested values that hold tensors."""
    if isinstance(other, torch.Tensor):
        return isinstance(one, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(other, dict):
        return (
            isinstance(one, dict)
            and one.keys() == other.keys()
            and all(same(one[k], other[k]) for k in other)
        )
    if isinstance(other, list):
        return isinstance(one, list) and len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


READERS: dict[str, tuple[str, Callable[[Ledger, str], Any]]] = {
    "row": ("trials/{}.parquet", lambda ledger, trial_id: ledger.row(trial_id)),
    "curves": ("curves/{}.parquet", lambda ledger, trial_id: ledger.curves(trial_id)),
    "plan": ("plan.parquet", lambda ledger, trial_id: ledger._plan()),
    "network": ("networks/{}.pt", lambda ledger, trial_id: ledger.networks.load(trial_id, STATE)),
    "checkpoint": ("checkpoints/{}.pt", lambda ledger, trial_id: tensors.load(ledger.checkpoint(trial_id))),
}


def check_damage(kind: str, ledger: Ledger, data: st.DataObject) -> None:
    name, read = READERS[kind]
    trial_id = ledger._plan()[0].trial_id
    file = ledger.folder / name.format(trial_id)
    content, expected = file.read_bytes(), read(ledger, trial_id)
    assert expected
    try:
        file.write_bytes(damaged(content, data))
        try:
            found, line = read(ledger, trial_id), str(file)
        except InputError as error:
            found, line = None, str(error)
        assert str(file) in line
        assert "\n" not in line
        assert found in (None, []) or same(found, expected)
    finally:
        file.write_bytes(content)


@pytest.mark.parametrize("kind", READERS)
@FEW
@given(data=st.data())
def test_a_damaged_file_gives_what_was_written_or_nothing(
    kind: str, written: Ledger, data: st.DataObject
) -> None:
    check_damage(kind, written, data)


@pytest.mark.slow  # above with few examples
@pytest.mark.parametrize("kind", READERS)
@MANY
@given(data=st.data())
def test_many_damaged_files(kind: str, written: Ledger, data: st.DataObject) -> None:
    check_damage(kind, written, data)
