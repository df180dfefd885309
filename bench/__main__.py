"""``python -m switchbench`` is the command ``switchbench``."""

from switchbench.cli import main

main()
