"""What a trial prints and logs, kept so that it can be read after a failure."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

LONGEST = 100_000
"""Characters that are kept: the last ones."""


class TrialLog:
    """Text of one trial."""

    def __init__(self) -> None:
        self._stream = io.StringIO()

    @property
    def text(self) -> str:
        """The end of what was written."""
        return self._stream.getvalue()[-LONGEST:]

    def write(self, text: str) -> None:
        """Add a text."""
        self._stream.write(text)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record what the block prints, logs and warns of."""
        handler = logging.StreamHandler(self._stream)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handler.setLevel(logging.WARNING)
        root = logging.getLogger()
        root.addHandler(handler)
        try:
            with warnings.catch_warnings(), redirect_stdout(self._stream), redirect_stderr(self._stream):
                yield
        finally:
            root.removeHandler(handler)
