"""Put the page together: everything in one file, which opens anywhere and asks nothing of the network."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import cache
from html import escape
from importlib import resources
from string import Template

import pandas as pd
from plotly.offline import get_plotlyjs

from switchbench.reports.cells import Report, Task
from switchbench.reports.checklist import Check
from switchbench.reports.formats.escape import latex
from switchbench.reports.page.data import labels_of, task_data, trial_data, trial_table
from switchbench.reports.page.packed import packed, text_of, to_json
from switchbench.reports.page.styles import MethodStyle, method_styles
from switchbench.reports.page.tables import table_data, table_html
from switchbench.reports.tables.sections import Section
from switchbench.reports.tables.table import Table
from switchbench.row import Status

SCRIPTS = ("data.js", "tables.js", "figures.js", "trials.js", "page.js")
PROBLEMS = 200
"""Trials without a measurement that are listed; the table of trials has all."""
OPEN = 2
"""Tables of a task that are open at first."""


def page(
    report: Report,
    sections: Sequence[Section],
    trials: pd.DataFrame,
    curves: pd.DataFrame | None = None,
    findings: Sequence[str] = (),
    checklist: Sequence[Check] = (),
    search: str | None = None,
) -> str:
    """Return the page.

    Args:
        report: The report.
        sections: Its tables. A section with the title of a task is shown with the task's figures; others
            before or after the tasks, as they stand.
        trials: The ledger's table, one row per planned trial.
        curves: The trainings: one row per trial and epoch, with ``trial_id``, ``step`` and columns of numbers.
        findings: What the results say, in sentences of plain text.
        checklist: Recommendations of good practice, and whether they are followed.
        search: HTML of the search's pictures, by :func:`switchbench.reports.search.pictures.pictures`.

    Returns:
        The text of an HTML file.
    """
    styles = method_styles(labels_of(report))
    tables: dict[str, Table] = {}
    parts: list[tuple[str, str, str]] = [("findings", "Findings", _findings(findings))] if findings else []
    parts += _results(report, sections, styles, tables)
    if len(trials):
        tables["trials"] = trial_table(trials)
        parts.append(("trials", "Trials", table_html(tables["trials"], "trials", level=3)))
    if checklist:
        parts.append(("checklist", "Checklist of good practice", _checklist(checklist)))
    if report.problems:
        parts.append(("unmeasured", "What was not measured", _problems(report.problems)))
    if search:
        parts.append(("search-pictures", "Pictures of the search", search))
    shown = to_json({key: table_data(table) for key, table in tables.items()})
    data = to_json(
        {
            "styles": {
                label: asdict(style) | {"path": style.path} for label, style in styles.items()
            },
            "tasks": [task_data(task) for task in report.tasks],
            "latex": _latex({*shown}),
        }
    )
    blocks = {
        "tables-data": packed(shown),
        "data": packed(data),
        "trials-data": packed(to_json(trial_data(report, trials, curves))),
        "plotly": _plotly(),
    }
    script = "".join(_file(name) for name in SCRIPTS)
    return Template(_file("page.html")).substitute(
        policy=_policy(script),
        title=_shown(report.title),
        style=_file("page.css"),
        scope=_shown(_scope(report, trials)),
        navigation="\n".join(f'<a href="#{name}">{_shown(title)}</a>' for name, title, _ in parts),
        content="\n".join(
            f'<section id="{name}" aria-labelledby="{name}-title">\n'
            f'<h2 id="{name}-title">{_shown(title)}</h2>\n{html}\n</section>'
            for name, title, html in parts
        ),
        blocks="\n".join(
            f'<script type="application/gzip" id="{name}">{text}</script>' for name, text in blocks.items()
        ),
        script=script,
    )


def _scope(report: Report, trials: pd.DataFrame) -> str:
    """Say in one line what was compared."""
    targets = sorted(trials["target_density"].dropna().unique(), reverse=True)
    spread = f" ({targets[0]:g} to {targets[-1]:g})" if len(targets) > 1 else ""
    tasks = report.tasks[0].title if len(report.tasks) == 1 else f"{len(report.tasks)} tasks"
    measured = int((trials["status"] == Status.OK).sum())
    parts = [
        tasks,
        _count(trials["label"].nunique(), "method"),
        f"{_count(len(targets), 'target density', 'target densities')}{spread}",
        _count(trials["seed"].nunique(), "seed"),
        f"{measured:,} of {_count(len(trials), 'trial')} measured",
    ]
    return " · ".join(parts)


def _count(number: int, one: str, several: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def _results(
    report: Report, sections: Sequence[Section], styles: dict[str, MethodStyle], tables: dict[str, Table]
) -> list[tuple[str, str, str]]:
    """Return the parts with figures and tables, by id, title and HTML. All tasks are one part."""
    tasks = {task.title: (at, task) for at, task in enumerate(report.tasks)}
    parts: list[tuple[str, str, str]] = []
    panels: list[str] = []
    place = 0
    for section in sections:
        if section.title not in tasks:
            name = f"section-{len(parts)}"
            parts.append((name, section.title, _section(section, name, tables)))
            continue
        place = place if panels else len(parts)
        at, task = tasks[section.title]
        panels.append(_task(task, at, section, styles, tables))
    if panels:
        parts.insert(place, ("results", "Results by task", f'<div class="tasks">{"".join(panels)}</div>'))
    return parts


def _task(
    task: Task, at: int, section: Section, styles: dict[str, MethodStyle], tables: dict[str, Table]
) -> str:
    legend = "".join(
        f'<button type="button" class="method" aria-pressed="true" data-method="{_shown(label)}">'
        f'<svg viewBox="-8 -8 16 16" aria-hidden="true" '
        f'style="--light:{styles[label].light};--dark:{styles[label].dark}">'
        f'<path d="{styles[label].path}"/></svg>{_shown(label)}</button>'
        for label in task.labels
    )
    return (
        f'<section class="task" id="task-{at}" data-task="{at}" aria-labelledby="task-{at}-title">\n'
        f'<h3 id="task-{at}-title">{_shown(task.title)}</h3>\n'
        f'<div class="legend" role="group" aria-label="Methods that are shown">{legend}</div>\n'
        f'<div class="figures scripted"></div>\n'
        f"{_section(section, f'task-{at}', tables)}\n</section>\n"
    )


def _section(section: Section, name: str, tables: dict[str, Table]) -> str:
    html = []
    for number, table in enumerate(section.tables):
        key = f"{name}-{number}"
        tables[key] = table
        html.append(table_html(table, key, level=4 if name.startswith("task") else 3, opened=number < OPEN))
    return "\n".join([*html, _list(section.notes, "notes")])


def _findings(findings: Iterable[str]) -> str:
    return _list(findings, "findings")


def _problems(problems: Sequence[str]) -> str:
    more = len(problems) - PROBLEMS
    rest = f"<p>{more:,} more are in the table of trials, by their status.</p>" if more > 0 else ""
    return _list(problems[:PROBLEMS], "problems") + rest


def _checklist(checks: Iterable[Check]) -> str:
    states = {True: ("met", "✓ met"), False: ("unmet", "✗ not met"), None: ("unknown", "? not known")}
    rows = "".join(
        f'<tr class="{states[check.met][0]}"><th scope="row">{_shown(check.name)}</th>'
        f"<td>{states[check.met][1]}</td><td>{_shown(check.why)}</td><td>{_code(check.spec_change)}</td></tr>"
        for check in checks
    )
    names = ("recommendation", "state", "why", "what would supply it, in the spec")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Checklist">'
        f'<table class="checklist"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        '<p class="caption">The recommendations of Blalock et al. 2020 (What is the state of neural network '
        "pruning?), checked by program.</p>"
    )


def _code(text: str) -> str:
    return f"<code>{_shown(text)}</code>" if text else ""


def _list(lines: Iterable[str], kind: str) -> str:
    items = "".join(f"<li>{_shown(line)}</li>" for line in lines)
    return f'<ul class="{kind}">{items}</ul>' if items else ""


def _shown(text: str) -> str:
    return escape(text_of(text))


def _latex(characters: Iterable[str]) -> dict[str, str]:
    """Return the characters that LaTeX wants written otherwise, for the export of tables."""
    written = {each: latex(each) for each in sorted(characters) if not each.isspace()}
    return {each: text for each, text in written.items() if text != each}


def _policy(script: str) -> str:
    """Return the Content-Security-Policy: our two scripts, no other, and no connection to anywhere."""
    scripts = " ".join(f"'sha256-{_digest(text)}'" for text in (script, get_plotlyjs()))
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data: blob:; "
        "font-src 'none'; connect-src 'none'; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _plotly() -> str:
    return packed(get_plotlyjs())


def _file(name: str) -> str:
    return resources.files("switchbench.reports.page").joinpath(name).read_text(encoding="utf-8")
