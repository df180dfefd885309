"""Outcomes of checks of a contract, and how checks are run."""

import sysconfig
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from switchbench.trial.outcomes import Skipped

S = TypeVar("S")


class Broken(Exception):
    """What is checked breaks the contract. The message names the problem."""


@dataclass(frozen=True)
class Outcome:
    """The result of one check."""

    check: str
    problem: str | None = None
    """The problem in one line; None if the check passed or was skipped."""
    skipped: str | None = None
    """The reason why the check does not apply; None if it was run."""


def named(*tests: Callable[[S], None]) -> dict[str, Callable[[S], None]]:
    """Return checks by the names of their functions, in words, in the order in which they run."""
    return {test.__name__.replace("_", " "): test for test in tests}


def require(holds: bool, problem: str) -> None:
    """Raise Broken with the problem unless something holds."""
    if not holds:
        raise Broken(problem)


def run_checks(checks: Mapping[str, Callable[[S], None]], subject: S) -> list[Outcome]:
    """Run checks on a subject. Any exception of a check is a problem, and does not stop the others."""
    outcomes = []
    for label, test in checks.items():
        try:
            test(subject)
            outcomes.append(Outcome(label))
        except Skipped as reason:
            outcomes.append(Outcome(label, skipped=str(reason)))
        except Exception as error:  # the code that is checked may raise anything
            outcomes.append(Outcome(label, one_line(error)))
    return outcomes


def one_line(error: Exception) -> str:
    """Describe an exception in one line, with the last line of a plug-in that it came through."""
    if isinstance(error, Broken):
        return " ".join(str(error).split())
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_library(frame.filename)]
    where = [f" ({Path(frame.filename).name}:{frame.lineno})" for frame in frames[-1:]]
    return " ".join(f"{type(error).__name__}: {error}".split()) + "".join(where)


def _is_library(file: str) -> bool:
    return file.startswith(tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib")))
