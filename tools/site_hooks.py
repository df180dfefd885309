"""Hooks of the documentation site: links to files outside of docs/ become their text."""

import re
from typing import Any

OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(?:deploy|tests|tools|configs|[A-Z]+\.(?:md|cff))[^)]*\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page without links that the site cannot follow."""
    return OUTSIDE.sub(r"\1", markdown)
