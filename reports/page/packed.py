"""Data inside the page, compressed: gzip in base64, which holds no character that HTML or scripts treat specially."""

import base64
import gzip
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from switchbench.errors import printable


def packed(content: str) -> str:
    """Return a text compressed; the same text gives the same characters.

    Example:
        >>> gzip.decompress(base64.b64decode(packed("</script>"))).decode()
        '</script>'
    """
    return base64.b64encode(gzip.compress(content.encode(errors="replace"), 9, mtime=0)).decode()


def to_json(value: Any) -> str:
    """Return plain values as JSON. NaN becomes null, an infinite number ``"inf"`` or ``"-inf"``.

    Text is printable: control characters are shown by their codes.

    Example:
        >>> to_json({"a": [1, 0.5, float("nan"), float("inf"), "x"]})
        '{"a":[1,0.5,null,"inf","x"]}'
    """
    return json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def text_of(value: Any) -> str:
    """Return a value as text that can be shown: empty if it is missing."""
    if value is None or value is np.nan or (isinstance(value, float) and math.isnan(value)):
        return ""
    text = str(value)
    return text if text.isprintable() else printable(text)


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
