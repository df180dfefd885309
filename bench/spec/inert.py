"""Stored configs without what came later and changes nothing, so that those of two versions compare."""

from collections.abc import Mapping
from typing import Any

from switchbench.methods.options import Options, without_inert
from switchbench.spec.components import CHOICES
from switchbench.spec.training import without_inert_settings


def config_without_inert(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain values of a trial's config, or some of them, without those that its id leaves out.

    A config of another version, or of a plug-in that is not loaded, may hold anything: what is unknown stays.

    >>> config_without_inert({"seed": 1, "training": {"epochs": 3, "kernels": "dense"}})
    {'seed': 1, 'training': {'epochs': 3}}
    """
    plain = dict(config)
    for key in ("training", "start"):
        if isinstance(plain.get(key), Mapping):
            plain[key] = without_inert_settings(plain[key])
    for choice in CHOICES:
        entry = plain.get(choice.kind)
        if isinstance(entry, Mapping) and (name := entry.get(choice.kind)) in choice.registry:
            options = choice.config_class(name)
            plain[choice.kind] = without_inert(options, entry) if issubclass(options, Options) else entry
    return plain
