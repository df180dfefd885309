"""Hooks of the documentation site: links to files outside of docs/ become their text, and blocks of code lose
the mark that tells our tests not to run them."""

import re
from typing import Any

OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(?:deploy|tests|tools|configs|[A-Z]+\.(?:md|cff))[^)]*\)")
UNRUN = re.compile(r"^(```\w+) norun$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page without links that the site cannot follow, and marks that it would not take for code."""
    return UNRUN.sub(r"\1", OUTSIDE.sub(r"\1", markdown))
