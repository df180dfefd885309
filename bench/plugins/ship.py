"""Taking what plug-ins have registered along to worker processes."""

from typing import Any

from switchbench.registration import is_own
from switchbench.spec.components import CHOICES


def extensions() -> list[tuple[str, str, Any]]:
    """What plug-ins have registered: kind, name, object. Workers get them by :func:`register_shipped`."""
    return [
        (choice.kind, name, registered)
        for choice in CHOICES
        for name, registered in choice.registry.items()
        if not is_own(choice.definition(name))
    ]


def register_shipped(registered: list[tuple[str, str, Any]]) -> None:
    """Register in this process what :func:`extensions` listed in another."""
    registries = {choice.kind: choice.registry for choice in CHOICES}
    for kind, name, thing in registered:
        registries[kind][name] = thing
