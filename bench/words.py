"""Words for messages and tables."""


def plural(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> plural(1, "trial"), plural(1200, "trial")
    ('1 trial', '1,200 trials')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
