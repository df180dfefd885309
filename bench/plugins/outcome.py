"""Outcomes of checks of a contract, and how checks are run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
    """Describe an exception in one line."""
    prefix = "" if isinstance(error, Broken) else f"{type(error).__name__}: "
    return " ".join(f"{prefix}{error}".split())
