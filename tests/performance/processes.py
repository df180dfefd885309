"""What a whole process takes."""

import subprocess
import sys
from dataclasses import dataclass

LAUNCHER = """
import os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Runs a command, and prints what it has used. A process begins with the peak memory of the one that starts it,
so that one has to be small."""


@dataclass(frozen=True)
class Usage:
    """What a process has used."""

    seconds: float
    """From its start to its end."""
    processor_seconds: float
    memory: float
    """Its peak, in megabytes."""


def run(*arguments: str) -> Usage:
    """Run Python with these arguments. Raises CalledProcessError if it fails."""
    command = [sys.executable, "-c", LAUNCHER, sys.executable, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Usage(*map(float, done.stdout.split()))
