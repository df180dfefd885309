"""Words for messages and tables."""


def plural(number: int, noun: str, several: str | None = None) -> str:
    """Return a number with its noun.

    Args:
        number: How many there are.
        noun: What there is, for one of them.
        several: The same for several; default: with an s.

    >>> plural(1, "trial"), plural(1200, "trial"), plural(2, "density", "densities")
    ('1 trial', '1,200 trials', '2 densities')
    """
    return f"{number:,} {noun if number == 1 else several or f'{noun}s'}"
