"""``python -m switchbench`` is the command ``switchbench``."""

from switchbench.cli.app import entry

entry()
