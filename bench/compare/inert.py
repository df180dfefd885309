"""How reports of several folders learn which settings change nothing."""

from collections.abc import Mapping
from typing import Any


def without_inert(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return parts of a config without settings that came later and change nothing."""
    from switchbench.spec.inert import config_without_inert  # imports torch

    return config_without_inert(config)
