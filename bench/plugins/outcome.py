"""Outcomes of checks of a contract, and how checks are run."""

import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from switchbench.plugins.frames import Frame, own_frames
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
    lines = [f" ({frame})" for frame in own_frames(error) if not _is_library(frame)]
    return " ".join(f"{type(error).__name__}: {error}".split()) + "".join(lines[-1:])


def _is_library(frame: Frame) -> bool:
    """Tell whether a frame is one of switchbench, or of Python's own library."""
    return frame.module.split(".")[0] == "switchbench" or frame.file.startswith(sysconfig.get_path("stdlib"))
