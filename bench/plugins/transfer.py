"""Send the registrations of plug-ins to worker processes."""

from typing import Any

from switchbench.registration import is_own
from switchbench.spec.components import CHOICES


def extensions() -> list[tuple[str, str, Any]]:
    """List everything that plug-ins have registered in this process.

    Returns:
        Kind (``method``, ``network`` or ``dataset``), name and registered object. A worker passes them to
        :func:`register_shipped`.
    """
    return [
        (choice.kind, name, registered)
        for choice in CHOICES
        for name, registered in choice.registry.items()
        if not is_own(choice.definition(name))
    ]


def register_shipped(shipped: list[tuple[str, str, Any]]) -> None:
    """Register in this process what plug-ins have registered in another.

    Args:
        shipped: The result of :func:`extensions` in the other process.
    """
    registries = {choice.kind: choice.registry for choice in CHOICES}
    for kind, name, registered in shipped:
        registries[kind][name] = registered
