"""Put the page together: everything in one file, which opens anywhere and asks nothing of the network."""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from importlib import resources
from string import Template
from typing import Any

import pandas as pd
from plotly.offline import get_plotlyjs

from switchbench.reports.cells import Report
from switchbench.reports.checklist import Check
from switchbench.reports.formats.escape import latex
from switchbench.reports.formats.html_text import as_html
from switchbench.reports.page import parts
from switchbench.reports.page.data import shown_trials, task_data, trial_data, trial_table
from switchbench.reports.page.packed import packed, to_json
from switchbench.reports.page.styles import method_styles
from switchbench.reports.page.tables import table_data
from switchbench.reports.tables.sections import Section
from switchbench.row import Status
from switchbench.words import plural

SCRIPTS = ("data.js", "tables.js", "figures.js", "trials.js", "page.js")
NOTHING = "No trial is planned: there is nothing to report."
PRACTICE = "practice"
"""Table of the checklist, which the page shows in its own way."""
TRIALS = 10_000
"""More trials are not on the page one by one: it would take long to open."""


def page(
    report: Report,
    sections: Sequence[Section],
    trials: pd.DataFrame,
    curves: pd.DataFrame | None = None,
    findings: Sequence[str] = (),
    checklist: Sequence[Check] = (),
    search: str | None = None,
    links: Mapping[str, str] = {},
) -> str:
    """Return the page.

    Args:
        report: The report.
        sections: Its tables. A section with the title of a task is shown with the task's figures; others
            before or after the tasks, as they stand.
        trials: The ledger's table, one row per planned trial. Those that the report leaves out are left out.
        curves: The trainings: one row per trial and epoch, with ``trial_id``, ``step`` and numbers.
        findings: What the results say, in sentences of plain text.
        checklist: Recommendations of good practice, and whether they are followed.
        search: HTML of the search's pictures, by :func:`switchbench.reports.search.pictures.pictures`.
        links: Relative addresses of other pages, by title.

    Returns:
        The text of an HTML file.
    """
    trials = shown_trials(report, trials)
    styles = method_styles(report.methods)
    single = trials if len(trials) <= TRIALS else trials.iloc[:0]
    shown = parts.Parts(styles)
    shown.add("reports", "Reports", parts.links(links))
    shown.add("findings", "Findings", parts.findings(findings))
    shown.add_sections(report, _without(PRACTICE, sections) if checklist else sections)
    if len(single):
        shown.add_table(trial_table(single))
    elif len(trials):
        many = (
            f"<p>{len(trials):,} are too many for a page: results.parquet beside it has them one by one.</p>"
        )
        shown.add("trials", "Trials", many)
    shown.add("checklist", "Checklist of good practice", parts.checklist(checklist))
    shown.add("unmeasured", "What was not measured", parts.problems(report.problems))
    shown.add("search", "Pictures of the search", search or "")
    tables = to_json({key: table_data(table) for key, table in shown.tables.items()})
    data = {
        "styles": {label: asdict(style) for label, style in styles.items()},
        "tasks": [task_data(task) for task in report.tasks],
        "latex": _latex({*tables}),
    }
    blocks = {
        "tables-data": packed(tables),
        "data": packed(to_json(data)),
        "trials-data": packed(to_json(trial_data(report, single, curves))),
    }
    if report.tasks or search:
        blocks["plotly"] = _plotly()  # else there is nothing to draw
    script = "".join(map(_file, SCRIPTS))
    values = {
        "policy": _policy(script),
        "title": as_html(report.title),
        "style": _file("page.css"),
        "scope": as_html(_scope(report, trials)),
        "navigation": "\n".join(f'<a href="#{each.name}">{as_html(each.title)}</a>' for each in shown.parts),
        "content": "\n".join(map(_section, shown.parts)) or f"<p>{NOTHING}</p>",
        "blocks": "\n".join(_block(name, text) for name, text in blocks.items()),
        "script": script,
    }
    return Template(_file("page.html")).substitute(values)


def _without(name: str, sections: Sequence[Section]) -> list[Section]:
    """Return sections without the table of a name, and without those that become empty."""
    kept = [replace(each, tables=[table for table in each.tables if table.name != name]) for each in sections]
    return [each for each in kept if each.tables or each.notes]


def _section(part: parts.Part) -> str:
    title = f'<h2 id="{part.name}-title">{as_html(part.title)}</h2>'
    return f'<section id="{part.name}" aria-labelledby="{part.name}-title">\n{title}\n{part.html}\n</section>'


def _block(name: str, content: str) -> str:
    """Return data that only scripts read: the browser does not run it."""
    return f'<script type="application/gzip" id="{name}">{content}</script>'


def _scope(report: Report, trials: pd.DataFrame) -> str:
    """Say in one line what was compared; nothing without trials, as in a search alone."""
    if trials.empty:
        return ""
    targets = sorted(trials["target_density"].dropna().unique(), reverse=True)
    spread = f" ({targets[0]:g} to {targets[-1]:g})" if len(targets) > 1 else ""
    measured = int((trials["status"] == Status.OK).sum())
    return " · ".join(
        [
            report.tasks[0].title if len(report.tasks) == 1 else f"{len(report.tasks)} tasks",
            plural(trials["label"].nunique(), "method"),
            plural(len(targets), "target density", "target densities") + spread,
            plural(trials["seed"].nunique(), "seed"),
            f"{measured:,} of {plural(len(trials), 'trial')} measured",
        ]
    )


def _latex(characters: Iterable[str]) -> dict[str, str]:
    """Return the characters that LaTeX wants written otherwise, for the export of tables."""
    written = {each: latex(each) for each in sorted(characters) if not each.isspace()}
    return {each: text for each, text in written.items() if text != each}


def _policy(script: str) -> str:
    """Return the Content-Security-Policy: our two scripts, no other, and no connection to anywhere."""
    scripts = " ".join(f"'sha256-{_digest(text)}'" for text in (script, _library()))
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data: blob:; "
        "font-src 'none'; connect-src 'none'; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _plotly() -> str:
    return packed(_library())


def _library() -> str:
    library: Any = get_plotlyjs()
    return str(library)


def _file(name: str) -> str:
    return resources.files("switchbench.reports.page").joinpath(name).read_text(encoding="utf-8")
