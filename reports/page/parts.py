"""The parts of the page as HTML: tasks with their tables, the checklist, what was not measured."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from switchbench.reports.cells import Report, Task
from switchbench.reports.checklist import Check
from switchbench.reports.formats.html_text import as_html, bullets
from switchbench.reports.page.styles import MethodStyle
from switchbench.reports.page.tables import table_html
from switchbench.reports.tables.practice import CAPTION
from switchbench.reports.tables.sections import Section
from switchbench.reports.tables.table import Table

FINDINGS = 12
"""Findings that are always shown."""
PROBLEMS = 200
"""Trials without a measurement that are listed; the table of trials has all."""
OPEN = 2
"""Tables of a section that are open at first."""


@dataclass(frozen=True)
class Part:
    """A part of the page."""

    name: str
    """Its id, to which the navigation leads."""
    title: str
    html: str


@dataclass
class Parts:
    """The parts of the page in order, and the tables in them."""

    styles: Mapping[str, MethodStyle]
    parts: list[Part] = field(default_factory=list)
    tables: dict[str, Table] = field(default_factory=dict)
    """By their key on the page."""

    def add(self, name: str, title: str, html: str) -> None:
        """Add a part, unless it is empty."""
        if html:
            self.parts.append(Part(name, title, html))

    def add_table(self, table: Table) -> None:
        """Add a part that is one table."""
        self.tables[table.name] = table
        self.add(table.name, table.name.capitalize(), table_html(table, table.name, level=3))

    def add_sections(self, report: Report, sections: Sequence[Section]) -> None:
        """Add the tables of sections. Those of tasks are one part, at the place of the first."""
        tasks = {task.title: (at, task) for at, task in enumerate(report.tasks)}
        panels: list[str] = []
        place = 0
        for number, section in enumerate(sections):
            if section.title in tasks:
                place = place if panels else len(self.parts)
                panels.append(self._task(*tasks[section.title], section))
            else:
                name = f"section-{number}"
                self.add(name, section.title, self._section(section, name, level=3))
        if panels:
            html = f'<div class="tasks">{"".join(panels)}</div>'
            self.parts.insert(place, Part("results", "Results by task", html))

    def _task(self, at: int, task: Task, section: Section) -> str:
        return (
            f'<section class="task" id="task-{at}" data-task="{at}" aria-labelledby="task-{at}-title">\n'
            f'<h3 id="task-{at}-title">{as_html(task.title)}</h3>\n'
            '<div class="legend" role="group" aria-label="Methods that are shown">'
            f"{''.join(map(self._legend, task.labels))}</div>\n"
            f'<div class="figures scripted"></div>\n'
            f"{self._section(section, f'task-{at}', level=4)}\n</section>\n"
        )

    def _legend(self, label: str) -> str:
        style = self.styles[label]
        colours = f"--light:{style.light};--dark:{style.dark}"
        return (
            f'<button type="button" class="method" aria-pressed="true" data-method="{as_html(label)}">'
            f'<svg viewBox="-8 -8 16 16" aria-hidden="true" style="{colours}">'
            f'<path d="{style.path}"/></svg>{as_html(label)}</button>'
        )

    def _section(self, section: Section, name: str, level: int) -> str:
        html = []
        for number, table in enumerate(section.tables):
            key = f"{name}-{number}"
            self.tables[key] = table
            html.append(table_html(table, key, level, opened=number < OPEN))
        return "\n".join([*html, bullets(section.notes, "notes")])


def links(addresses: Mapping[str, str]) -> str:
    """Return links to other pages, by title; empty if there are none."""
    lines = "".join(
        f'<li><a href="{as_html(quote(address))}">{as_html(title)}</a></li>'
        for title, address in addresses.items()
    )
    return f'<ul class="reports">{lines}</ul>' if lines else ""


def findings(lines: Sequence[str]) -> str:
    """Return the findings: the first are always shown, the others are one click away."""
    more = len(lines) - FINDINGS
    rest = f"<summary>{more} more</summary>{bullets(lines[FINDINGS:], 'findings')}"
    return bullets(lines[:FINDINGS], "findings") + (f"<details>{rest}</details>" if more > 0 else "")


def problems(lines: Sequence[str]) -> str:
    """Return what was not measured."""
    more = len(lines) - PROBLEMS
    rest = f"<p>{more:,} more are in the table of trials, by their status.</p>" if more > 0 else ""
    return bullets(lines[:PROBLEMS], "problems") + rest


def checklist(checks: Iterable[Check]) -> str:
    """Return the checklist as a table; empty if there is none."""
    states = {True: ("met", "✓ met"), False: ("unmet", "✗ not met")}
    rows = "".join(
        f'<tr class="{states[check.met][0]}"><th scope="row">{as_html(check.name)}</th>'
        f"<td>{states[check.met][1]}</td><td>{as_html(check.why)}</td>"
        f"<td>{as_html(check.spec_change)}</td></tr>"
        for check in checks
    )
    names = ("recommendation", "state", "why", "what would supply it, in the spec")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    table = (
        '<div class="scroll" tabindex="0" role="region" aria-label="Checklist">'
        f'<table class="checklist"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        f'<p class="caption">{as_html(CAPTION)}</p>'
    )
    return table if rows else ""
