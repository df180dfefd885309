"""Check what a report should show: methods, densities, pairs, style."""

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from switchbench.compare.report_options import ReportOptions
from switchbench.errors import InputError, unknown
from switchbench.reports.controls import DENSE
from switchbench.reports.formats.latex import Style
from switchbench.reports.view import View

ASCENDING, DESCENDING = ":ascending", ":descending"
MOST_DIGITS = 6


def view_of(choices: ReportOptions, results: pd.DataFrame) -> View:
    """Return what is shown.

    Args:
        choices: The options, as given.
        results: The table of results.

    Returns:
        The view.

    Raises:
        InputError: An option names nothing that the results have, or is not allowed.
    """
    labels, targets = [*results["label"].unique()], results["target_density"].dropna().unique().tolist()
    methods = _split(choices.methods, labels)
    for label in methods:
        if label not in labels:
            raise InputError(f"--methods: {unknown('label', label, labels)}")
    styles = [style.value for style in Style]
    if choices.style not in styles:
        raise InputError(f"--style: {unknown('style', choices.style, styles)}")
    if not 0 <= choices.digits <= MOST_DIGITS:
        raise InputError(f"--digits {choices.digits}: should be from 0 to {MOST_DIGITS}")
    columns = _split(choices.columns, ())
    if "" in columns:
        raise InputError("--columns: a name is empty")
    sort = (choices.sort or "").removesuffix(DESCENDING)
    return View(
        methods=methods,
        densities=[_density(text, targets) for text in _split(choices.densities, ())],
        columns=columns,
        sort=sort.removesuffix(ASCENDING) or None,
        ascending=sort.endswith(ASCENDING),
        digits=choices.digits,
        style=Style(choices.style),
    )


def check_margin(margin: float) -> None:
    """Raise InputError if a margin of equality, in percentage points, is not allowed."""
    if not 0 < margin <= 100:
        raise InputError(f"--margin {margin:g}: should be above 0 and at most 100 percentage points")


def pairs_of(given: Iterable[tuple[str, str] | str], results: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the pairs. Raises InputError if a pair does not name two methods that can be compared."""
    labels = set(results["label"])
    pairs = [split_pair(pair, labels) if isinstance(pair, str) else pair for pair in given]
    with_target = set(results.dropna(subset=["target_density"])["label"])
    for pair in pairs:
        if pair[0] == pair[1]:
            raise InputError(f"--pair {':'.join(pair)}: should name two different methods")
        for label in pair:
            if label not in labels:
                raise InputError(f"--pair: {unknown('label', label, labels)}")
        if not with_target.intersection(pair):
            raise InputError(f"--pair {':'.join(pair)}: one of the methods should have a target density")
    return pairs


def with_baseline(baseline: str | None, results: pd.DataFrame) -> list[tuple[str, str]]:
    """Pair all methods but the dense control with the baseline.

    Raises:
        InputError: There is no such method.
    """
    if baseline is None:
        return []
    labels = list(dict.fromkeys(results["label"]))
    if baseline not in labels:
        raise InputError(f"--baseline: {unknown('label', baseline, labels)}")
    controls = {*results.loc[results["method"] == DENSE, "label"]}  # the table to-dense compares with these
    return [(label, baseline) for label in labels if label != baseline and label not in controls]


def split_pair(text: str, labels: set[str]) -> tuple[str, str]:
    """Split ``A:B`` at the colon that leaves known labels: labels may hold colons. Raises InputError."""
    colons = [at for at, character in enumerate(text) if character == ":" and text[:at] and text[at + 1 :]]
    pairs = [(text[:at], text[at + 1 :]) for at in colons]
    if not pairs:
        raise InputError(f"--pair {text!r}: should be the labels of two methods as A:B")
    known = [pair for pair in pairs if labels.issuperset(pair)]
    if len(known) > 1:
        named = " or ".join(f"{one!r} and {other!r}" for one, other in known)
        raise InputError(f"--pair {text!r}: may name {named}; use against in the spec")
    return max(pairs, key=lambda pair: len(labels.intersection(pair)))


def _split(texts: Sequence[str], whole: Sequence[str]) -> list[str]:
    """Split texts at commas, except those that are a known name as a whole."""
    parts = [[text] if text in whole else text.split(",") for text in texts]
    return [part.strip() for group in parts for part in group]


def _density(text: str, targets: Sequence[float]) -> float:
    """Return the target density that a text names. Raises InputError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    for target in targets:
        if math.isclose(value, target, rel_tol=1e-9):
            return target
    known = ", ".join(f"{target:g}" for target in sorted(targets, reverse=True))
    raise InputError(f"--densities {text}: should be among the target densities: {known or 'there are none'}")
