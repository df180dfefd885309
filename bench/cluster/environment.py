"""Where a trial runs, as far as its result depends on it: versions, the code, the device."""

import hashlib
import json
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

import switchbench.methods
from switchbench import datasets


@cache
def versions() -> str:
    """Return the versions that may affect a result, as JSON, with the commit if this is a source checkout."""
    found = {"python": platform.python_version()}
    found |= {name: version(name) for name in ("switchbench", "torch", "torchvision", "numpy")}
    if _git("ls-files", "--error-unmatch", __file__):
        found["commit"] = _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    return json.dumps(found)


def stamp(device: str, threads: int) -> str:
    """Describe the environment. A checkpoint is resumed only where it is unchanged.

    The code of plug-ins is part of the trial's id.
    """
    return f"{versions()}, code {_code_hash()}, on {device} with {threads} threads"


@cache
def _code_hash() -> str:
    """Hash the source code. The commit is not enough: it does not change with uncommitted edits."""
    digest = hashlib.sha256()
    for package in (switchbench, switchbench.methods, datasets):
        for file in sorted(Path(package.__path__[0]).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _git(*arguments: str) -> str:
    """Return the output of git in the folder of this file; empty without git or outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
