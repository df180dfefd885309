"""Text of users in HTML: shown as it is, and nothing else."""

import math
from collections.abc import Iterable
from html import escape
from typing import Any

from switchbench.errors import printable


def text_of(value: Any) -> str:
    """Return a value as text that can be shown, with its lines; empty if it is missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    text = str(value)
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def as_html(value: Any) -> str:
    """Return a value as text within HTML, or within the quotes of an attribute.

    Example:
        >>> as_html("a <b> & \\x07")
        'a &lt;b&gt; &amp; U+0007'
    """
    return escape(text_of(value))


def bullets(lines: Iterable[str], kind: str) -> str:
    """Return a list of lines of text as HTML, of a class; empty if there are none."""
    items = "".join(f"<li>{as_html(line)}</li>" for line in lines)
    return f'<ul class="{kind}">{items}</ul>' if items else ""
