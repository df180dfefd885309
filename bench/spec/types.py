"""Types of fields that several configs share."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

Density = Annotated[float, Field(gt=0, le=1)]
"""Share of weights kept, in (0, 1]."""

MOST_SEEDS = 10_000

Seed = Annotated[int, Field(ge=0, lt=2**63)]


def seeds_from(first: int) -> BeforeValidator:
    """Make a validator that accepts a number n of seeds and replaces it by a list.

    Args:
        first: The first seed. The list is first, first + 1, …, first + n − 1.
    """

    def count_or_list(seeds: Any) -> Any:
        is_number = isinstance(seeds, int) and not isinstance(seeds, bool)
        if is_number and 1 <= seeds <= MOST_SEEDS:
            return list(range(first, first + seeds))
        if seeds is None or isinstance(seeds, str | float | int | dict):
            allowed = f"a number of seeds (1 or more, {MOST_SEEDS:,} at most) or a list of seeds"
            given = str(seeds) if is_number else repr(seeds)
            raise ValueError(f"{given[:20]} should be {allowed}")
        return seeds

    return BeforeValidator(count_or_list)
