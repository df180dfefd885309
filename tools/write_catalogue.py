"""Write what ``switchbench list`` shows into bench/cli/catalogue.json, from the registered classes.

``make docs`` runs it; ``--check`` writes nothing, and fails if the file would change.
"""

import sys
from pathlib import Path

from switchbench.cli.catalogue import as_json
from switchbench.cli.descriptions import registered

CATALOGUE = Path(__file__).parent.parent / "bench" / "cli" / "catalogue.json"


def main() -> None:
    """Write the file, or check it."""
    content = as_json(registered())
    stale = not CATALOGUE.exists() or CATALOGUE.read_text(encoding="utf-8") != content
    if stale and "--check" not in sys.argv[1:]:
        CATALOGUE.write_text(content, encoding="utf-8")
    print(f"changed: {CATALOGUE.name if stale else 'none'}")
    sys.exit("--check" in sys.argv[1:] and stale)


if __name__ == "__main__":
    main()
