"""Where an exception was raised, in files that its reader knows.

Plug-ins are sent to workers by value. Their code has no file of its own there, but its globals name the file
that it comes from.
"""

import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType


@dataclass(frozen=True)
class Frame:
    """A line that an exception came through."""

    module: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line}"


def own_frames(error: BaseException) -> list[Frame]:
    """Return the frames of an exception outside torch, the innermost last."""
    walked = traceback.walk_tb(error.__traceback__)
    frames = [Frame(str(frame.f_globals.get("__name__")), _file(frame), line) for frame, line in walked]
    return [frame for frame in frames if "site-packages/torch" not in frame.file]


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an exception as text."""
    told = traceback.TracebackException.from_exception(error, lookup_lines=False)
    for summary, (frame, _) in zip(told.stack, traceback.walk_tb(error.__traceback__), strict=False):
        summary.filename = _file(frame)
    return "".join(told.format())


def _file(frame: FrameType) -> str:
    return str(frame.f_globals.get("__file__") or frame.f_code.co_filename)
