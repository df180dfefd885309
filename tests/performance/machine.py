"""The machine that measures, in words: a timing means nothing without it."""

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

import torch

LIBRARIES = ("torch", "numpy", "ray", "optuna", "mlflow", "pandas")


def description() -> str:
    """Return the processor, cores, memory, system and versions of the libraries in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = f"{os.cpu_count()} cores ({torch.backends.cpu.get_cpu_capability()}), {memory:.0f} GiB"
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU"
    system = f"{platform.system()}, Python {platform.python_version()}"
    return f"{_processor()}, {cores}{gpu}; {system}, {', '.join(f'{name} {version(name)}' for name in LIBRARIES)}"


def _processor() -> str:
    file = Path("/proc/cpuinfo")  # platform.processor() is empty on Linux
    found = re.search(r"^model name\s*: (.+)$", file.read_text(), re.MULTILINE) if file.exists() else None
    return found[1] if found else platform.processor() or platform.machine()
