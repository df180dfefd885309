"""One item of the checklist of good practice (Blalock et al. 2020), as reports and the page show it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One recommendation, whether the comparison follows it, and what would make it do so."""

    name: str
    """The recommendation in a few words."""
    met: bool | None
    """Whether it is followed; None if the stored results do not tell."""
    why: str
    """What in the results says so."""
    spec_change: str = ""
    """The change to the spec that would supply what is missing; empty if nothing is missing."""
