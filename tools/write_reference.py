"""Write the reference pages of the documentation from the code: docs/reference/*.md.

``make docs`` runs it; ``--check`` writes nothing, and fails if a page would change.
"""

import ast
import inspect
import re
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import typer
from typer.cli import get_docs_for_click

from switchbench import row as rows
from switchbench.cli.app import app
from switchbench.cli.catalogue import Description
from switchbench.cli.descriptions import registered
from switchbench.measure import counting
from switchbench.spec.recipes import OPTIMIZERS, RECIPES
from switchbench.trial import cost

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
NOTE = "<!-- written by tools/write_reference.py -->\n\n"
MEASURED = ((counting, "Count"), (cost, "Costs"), (rows, "PlannedTrial"), (rows, "Row"))
"""The classes whose fields become columns: where a value is measured, and the row."""
LONG = 10
"""Options up to which a table is repeated, so that a section can be read alone."""
Cells = tuple[str, ...]


def main() -> None:
    """Write the pages, or check them."""
    pages = {
        "spec.md": spec(),
        "methods.md": components("methods", "Methods"),
        "networks.md": components("networks", "Networks"),
        "datasets.md": components("datasets", "Data sets"),
        "commands.md": commands(),
        "columns.md": columns(),
    }
    check, changed = "--check" in sys.argv[1:], []
    for name, text in pages.items():
        path, content = REFERENCE / name, NOTE + text.rstrip() + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            changed.append(name)
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content, encoding="utf-8")
    print(f"changed: {', '.join(changed) or 'none'}")
    sys.exit(check and bool(changed))


def spec() -> str:
    """Return the page of what a spec holds."""
    parts = registered()["keys"]
    lines = [
        "# What a spec holds",
        "",
        "A spec is a YAML file. `switchbench list spec`, `list training` and `list search` show the same "
        "on the terminal.",
    ]
    for name, part in parts.items():
        title = "The spec" if name == "spec" else f"`{name}`"
        lines += ["", f"## {title}", "", _text(part), "", *_options(part, searched=False)]
    lines += [
        "",
        "## Recipes",
        "",
        "`training: NAME`, or `training: {recipe: NAME, epochs: 30}` to change a value.",
        "",
    ]
    lines += table(
        ("recipe", "what it is", "settings"),
        (
            (
                f"`{name}`",
                recipe.description,
                ", ".join(f"{key} {value}" for key, value in recipe.training.items()),
            )
            for name, recipe in RECIPES.items()
        ),
    )
    lines += [
        "",
        "## Optimizers",
        "",
        *table(("optimizer", "what it is"), ((f"`{n}`", d) for n, d in OPTIMIZERS.items())),
    ]
    return "\n".join(lines)


def components(section: str, title: str) -> str:
    """Return the page of all methods, networks or data sets. Of a long table of options, as presets have
    it, only the lines are shown that are not in the table of another component with the same options."""
    lines = [
        f"# {title}",
        "",
        f"`switchbench list {section}` names them; `switchbench list NAME` describes one.",
    ]
    shown: dict[Cells, tuple[str, Description]] = {}
    for name, description in registered()[section].items():
        lines += ["", f"## {name}", "", _text(description)]
        options = description.options
        names = tuple(option.name for option in options)
        first, before = shown.setdefault(names, (name, description))
        if first != name and len(options) > LONG:
            lines += ["", f"Its options are those of [{first}](#{first}), except:"]
            options = [option for option in options if option not in before.options]
        if options:
            lines += ["", *_options(replace(description, options=options), searched=section == "methods")]
    return "\n".join(lines)


def commands() -> str:
    """Return the page of all commands."""
    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="switchbench")
    return text.replace("# `switchbench`", "# Commands", 1)


def columns() -> str:
    """Return the page of the columns of results."""
    lines = ["# Columns of the results", "", _plain(inspect.cleandoc(rows.Row.__doc__ or "")), ""]
    meanings: dict[str, str] = {}
    for module, name in MEASURED:
        for column, meaning in _meanings(module, name).items():
            meanings[column] = f"{meanings.get(column, '')} {meaning}".strip()
    lines += table(("column", "meaning"), ((f"`{name}`", meanings[name]) for name in rows.columns()))
    lines += ["", "## Values of `status`", ""]
    lines += table(
        ("status", "meaning"), ((f"`{name}`", text) for name, text in _meanings(rows, "Status").items())
    )
    return "\n".join(lines)


def _meanings(module: ModuleType, name: str) -> dict[str, str]:
    """Return the docstrings of the fields of a class, by the field's name or value."""
    tree = ast.parse(inspect.getsource(module))
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    meanings = {}
    for field, after in zip(found.body, found.body[1:], strict=False):
        if not isinstance(field, ast.AnnAssign | ast.Assign) or not isinstance(after, ast.Expr):
            continue
        target = field.target if isinstance(field, ast.AnnAssign) else field.targets[0]
        value = field.value if isinstance(field, ast.Assign) else None
        key = (
            value.value
            if isinstance(value, ast.Constant)
            else target.id
            if isinstance(target, ast.Name)
            else ""
        )
        if isinstance(after.value, ast.Constant):
            meanings[str(key)] = _plain(" ".join(str(after.value.value).split()))
    return meanings


def _text(description: Description) -> str:
    """Return the docstring of a description as Markdown, without the kind before it."""
    return _plain(description.documentation.partition(": ")[2])


def _plain(text: str) -> str:
    """Return text of a docstring as Markdown."""
    return re.sub(r":\w+:`~?([^`]*)`", r"`\1`", text).replace("``", "`")


def _options(description: Description, searched: bool) -> list[str]:
    header = (
        "option" if searched else "key",
        "type",
        "default",
        "valid",
        *(("search",) if searched else ()),
        "meaning",
    )
    cells = (
        (f"`{o.name}`", o.type, o.default, o.valid, *((o.search,) if searched else ()), _coded(o.description))
        for o in description.options
    )
    return table(header, cells)


def _coded(text: str) -> str:
    """Quote what stands in braces as code: at the end of a cell, mkdocs would take it for attributes."""
    return re.sub(r"(?<!`)(\{[^{}]*\})(?!`)", r"`\1`", text)


def table(header: Cells, cells: Iterable[Cells]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [header, ("---",) * len(header), *cells]
    return [
        f"| {' | '.join(' '.join(cell.replace('|', chr(92) + '|').split()) for cell in line)} |"
        for line in lines
    ]


if __name__ == "__main__":
    main()
