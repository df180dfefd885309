"""What a trial prints and logs, kept so that it can be read after a failure."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

LONGEST = 100_000
"""Characters that are kept: the last ones."""


class _End(io.StringIO):
    """Keeps the end of what is written: a trial that prints at each step does not fill the memory."""

    def write(self, text: str) -> int:
        written = super().write(text)
        if self.tell() > 2 * LONGEST:
            kept = self.getvalue()[-LONGEST:]
            self.seek(0)
            self.truncate()
            super().write(kept)
        return written

    def close(self) -> None:
        """Do nothing: a trial may close what it takes for the terminal."""


class TrialLog:
    """Text of one trial."""

    def __init__(self) -> None:
        self._stream = _End()

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
