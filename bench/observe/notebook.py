"""Progress in notebooks: one line of HTML that is replaced, without widgets."""

import html
import sys
from typing import Any


def in_notebook() -> bool:
    """Tell whether this process is the kernel of a notebook."""
    module: Any = sys.modules.get("IPython")
    shell = module.get_ipython() if module else None
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


class NotebookBar:
    """A bar and a line of text below the running cell."""

    def __init__(self) -> None:
        """Show nothing yet."""
        self._handle: Any = None

    def show(self, done: float, total: float | None, text: str) -> None:
        """Show the bar, in place of the last one.

        Args:
            done: Number of results.
            total: Number of planned results; None if it is unknown.
            text: Stands beside the bar.
        """
        from IPython.display import HTML, display

        bar = "" if total is None else f'<progress value="{done:g}" max="{total:g}"></progress> '
        of = "" if total is None else f" of {total:g}"
        content: Any = HTML(f"{bar}{done:g}{of}: {html.escape(text)}")  # type: ignore[no-untyped-call]
        if self._handle is None:
            self._handle = display(content, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(content)
