"""Ids of trials as users give them."""

from switchbench.errors import InputError
from switchbench.store.ledger import Ledger

SHOWN = 20
"""Ids in a message."""


def id_of(ledger: Ledger, given: str) -> str:
    """Return the id of a trial.

    Args:
        ledger: Ledger of the comparison.
        given: The id, or the beginning of one, as tables show it.

    Raises:
        InputError: No planned trial, or more than one, has this id.
    """
    if not given:
        raise InputError(f"the id of a trial is empty; `switchbench list {ledger.folder}` shows them")
    ids: list[str] = list(ledger.results()["trial_id"])
    found = [each for each in ids if each.startswith(given)]
    if given in found:
        return given
    if not found:
        if any(each.startswith(given) for each in ledger.stored_ids()):
            raise InputError(
                f"trial {given!r} is stored in {ledger.folder}, but is not of the spec that ran there last "
                f"({ledger.name()}); run its own spec in this folder again, which trains nothing"
            )
        raise InputError(f"no trial {given!r}; `switchbench list {ledger.folder}` shows {len(ids)} of them")
    if len(found) > 1:
        raise InputError(
            f"{ledger.folder}: {len(found)} trials begin with {given!r}: {', '.join(found[:SHOWN])}"
        )
    return found[0]
