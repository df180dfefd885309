"""Data inside the page, compressed: gzip in base64, which holds no character that is special in HTML."""

import base64
import gzip
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from switchbench.reports.formats.html_text import text_of


def packed(content: str) -> str:
    """Return a text compressed; the same text gives the same characters.

    Example:
        >>> gzip.decompress(base64.b64decode(packed("</script>"))).decode()
        '</script>'
    """
    return base64.b64encode(gzip.compress(content.encode(errors="replace"), 6, mtime=0)).decode()


def to_json(value: Any) -> str:
    """Return plain values as JSON. NaN becomes null, an infinite number ``"inf"`` or ``"-inf"``.

    Text is printable: control characters are shown by their codes.

    Example:
        >>> to_json({"a": [1, 0.5, float("nan"), float("inf"), "x"]})
        '{"a":[1,0.5,null,"inf","x"]}'
    """
    return json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return text_of(value)
    if isinstance(value, Mapping):
        return {text_of(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
