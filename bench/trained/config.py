"""The config of a stored trial, which other versions and plug-ins may have written."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from switchbench.errors import InputError, explain
from switchbench.spec.components import CHOICES
from switchbench.spec.trial import TrialConfig


def config_of(stored: str) -> TrialConfig:
    """Return the config in a row. Raises InputError if it cannot be read, or if a plug-in is missing."""
    try:
        return TrialConfig.model_validate_json(stored)
    except ValidationError as error:
        raise InputError(unknown_parts(json.loads(stored)) or explain(error, TrialConfig)) from error


def unknown_parts(stored: Mapping[str, Any]) -> str:
    """Say which parts of a stored config come from plug-ins that are not loaded; empty if none does.

    Args:
        stored: Choices by kind: ``{"network": {"network": "mine", …}, …}``.
    """
    named = {choice: stored[choice.kind].get(choice.kind) for choice in CHOICES if choice.kind in stored}
    absent = [
        f"{choice.kind} {name!r}"
        for choice, name in named.items()
        if name is not None and name not in choice.registry
    ]
    if not absent:
        return ""
    return f"unknown {' and '.join(absent)}: give the plug-in's file (--plugin FILE, or plugin_files=[FILE])"
