"""Draw the packages and the imports between them into docs/architecture.md, from the code.

``make docs`` runs it; ``--check`` writes nothing, and fails if the page would change. What each package holds
and may import stands in the docstring of its ``__init__.py``.
"""

import ast
import re
import sys
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
DRAWING = re.compile(r"(<!-- drawn by tools/draw_architecture.py -->\n).*?(?=\n<!-- end -->)", re.DOTALL)
MAY_IMPORT = re.compile(r"May import: ([^.]+)\.")
BESIDE = ("methods", "datasets", "reports")
"""Packages that stand beside ``bench/``."""


@dataclass(frozen=True)
class Package:
    """One package, or one module beside the packages of ``bench/``."""

    name: str
    folder: Path
    files: tuple[Path, ...]

    @property
    def docstring(self) -> str:
        """Of the package."""
        first = self.folder / "__init__.py" if self.folder.is_dir() else self.folder
        return ast.get_docstring(ast.parse(first.read_text(encoding="utf-8"))) or ""

    @property
    def may_import(self) -> set[str]:
        """The packages that its docstring allows it to import."""
        found = MAY_IMPORT.search(" ".join(self.docstring.split()))
        return set() if not found or found[1] == "nothing" else set(re.split(r", | and ", found[1]))

    def imports(self) -> dict[str, set[Path]]:
        """The packages that it imports, anywhere in its files, and the files that do."""
        found: dict[str, set[Path]] = {}
        for file in self.files:
            for name in imported(file):
                first = name.removeprefix("switchbench.").split(".")[0]
                if name.startswith("switchbench.") and first != self.name:
                    found.setdefault(first, set()).add(file)
        return found


def imported(file: Path) -> set[str]:
    """Full names of all that a file imports, wherever it does: in functions and under TYPE_CHECKING too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def packages() -> dict[str, Package]:
    """Every package of the project, by name."""
    folders = [path.parent for path in (ROOT / "bench").glob("*/__init__.py")]
    folders += [ROOT / name for name in BESIDE]
    return {
        folder.name: Package(folder.name, folder, tuple(sorted(folder.rglob("*.py")))) for folder in folders
    }


def leaves() -> dict[str, Package]:
    """The modules beside the packages of ``bench/``, which import nothing of switchbench."""
    files = [path for path in (ROOT / "bench").glob("*.py") if not path.name.startswith("__")]
    return {path.stem: Package(path.stem, path, (path,)) for path in sorted(files)}


def layers() -> list[list[str]]:
    """The packages from the top of the architecture to its bottom, those of one layer together. Raises
    graphlib.CycleError if imports run in a circle."""
    found = packages()
    sorter = TopologicalSorter({name: package.imports().keys() & found for name, package in found.items()})
    sorter.prepare()
    ordered: list[list[str]] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        ordered.append(ready)
        sorter.done(*ready)
    return ordered[::-1]


def drawn() -> str:
    """Layers and what they hold, as a table, and the imports as a Mermaid graph without arrows that follow
    from others."""
    found = packages()
    edges = {name: package.imports().keys() & found for name, package in found.items()}
    lines = ["| layer | package | holds |", "|---|---|---|"]
    for number, names in enumerate(layers(), 1):
        lines += [f"| {number} | `{name}` | {_first_sentence(found[name])} |" for name in names]
    lines += [f"| – | `{name}.py` | {_first_sentence(leaf)} |" for name, leaf in leaves().items()]
    lines += ["", "```mermaid", "graph TD"]
    lines += [f"    {name} --> {other}" for name in sorted(edges) for other in sorted(_direct(name, edges))]
    return "\n".join([*lines, "```"])


def _direct(name: str, edges: dict[str, set[str]]) -> set[str]:
    """What a package imports, but for what one of these imports as well."""
    return edges[name] - {far for near in edges[name] for far in _reached(near, edges)}


def _reached(name: str, edges: dict[str, set[str]]) -> set[str]:
    return edges[name] | {far for near in edges[name] for far in _reached(near, edges)}


def _first_sentence(package: Package) -> str:
    text = " ".join(package.docstring.split())
    return text.split(". ")[0].rstrip(".").replace("|", "\\|")


def main() -> None:
    """Draw, or check the page."""
    page = PAGE.read_text(encoding="utf-8")
    new = DRAWING.sub(lambda match: match[1] + drawn(), page)
    if "--check" in sys.argv[1:]:
        sys.exit(f"{PAGE.name} is not the code's: run make docs" if new != page else 0)
    PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
