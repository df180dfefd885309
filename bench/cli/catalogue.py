"""The methods, networks and data sets as text, without importing their code.

Importing a method imports torch, which takes two seconds and half a gigabyte: too much for a list of names.
So the descriptions are in ``catalogue.json``, which ``make docs`` writes from the registered classes. They
are never stale: the file holds a digest of the code that it was written from, and is ignored if that code has
changed since, as it is while somebody works on a method. A test fails until the file is written again.

A cache in the user's folder would need no generated file, but the first list after each installation would be
slow, and every one where that folder cannot be written.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

STORED = Path(__file__).with_name("catalogue.json")
REGISTRIES = ("switchbench.methods", "switchbench.networks", "switchbench.datasets")
"""Packages that keep what is registered. All their code counts."""
SPEC = "switchbench.spec"
"""The package whose models say what a spec holds. All its code counts."""
DESCRIBING = "switchbench.cli.descriptions"
"""The module that turns it all into text."""


@dataclass(frozen=True)
class OptionLine:
    """One option as text: its type, default, valid range and search range."""

    name: str
    type: str
    default: str
    valid: str
    search: str
    description: str


@dataclass(frozen=True)
class Description:
    """One method, network, data set, recipe or spec as text."""

    documentation: str
    options: Sequence[OptionLine] = ()
    text: str = ""


Components = Mapping[str, Mapping[str, Description]]
"""Descriptions of methods, networks and data sets, by section and name."""


def read(file: Path = STORED) -> Components | None:
    """Read the stored descriptions; None if there are none, or if the code has changed since.

    Args:
        file: What :func:`as_json` returned.
    """
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if stored["code"] != code_digest():
        return None
    return {
        section: {name: _description(plain) for name, plain in names.items()}
        for section, names in stored["components"].items()
    }


def as_json(described: Components) -> str:
    """Return descriptions as the content of the file, with the digest of the code as it is now."""
    plain = {
        section: {name: asdict(description) for name, description in names.items()}
        for section, names in described.items()
    }
    stored = {"code": code_digest(), "components": plain}
    return json.dumps(stored, ensure_ascii=False, indent=1) + "\n"


def code_digest() -> str:
    """Hash the code that the descriptions come from: 16 hexadecimal digits. Nothing is imported."""
    digest = hashlib.sha256()
    for module in (*REGISTRIES, SPEC, DESCRIBING):
        origin = _source(module)
        for file in [origin] if module == DESCRIBING else sorted(origin.parent.rglob("*.py")):
            digest.update(f"{module} {file.relative_to(origin.parent).as_posix()}\n".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _source(module: str) -> Path:
    """Return the file of a module, or of a package's ``__init__``. Only packages above it are imported."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    return Path(spec.origin)


def _description(plain: dict[str, Any]) -> Description:
    options = tuple(OptionLine(**option) for option in plain["options"])
    return Description(plain["documentation"], options, plain["text"])
