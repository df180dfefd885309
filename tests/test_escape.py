"""Labels of users in the files of a report: shown as they are, and nothing else."""

import io
import re
from pathlib import Path

import pandas as pd
import pytest
from made_up import written
from markdown_it import MarkdownIt
from rich.console import Console

from switchbench import reports
from switchbench.reports.checklist import checklist
from switchbench.reports.formats import escape, latex
from switchbench.row import PointRow, PointState, columns
from switchbench.store import parquet

LABELS = [
    "<script>alert(1)</script>", "[x](javascript:alert(1))", "![x](http://a/b.png)", "a | b", r"a\|b", "`a`",
    "**a**", "_a_ val_loss __b__", "~~a~~", "&lt;a&amp;", "# a", "- a", "+ a", "1. a", "12) a", "> a", "=== a",
    "$a$ 50 % #{~^}", "λ ≤ 0.1", "тест", "中文", "é ß ø ą 😀", "<!-- a -->", "<http://a>", "---",
    "[1ex] a", "*", "a -- b", "?`",
]  # fmt: skip


def html_of(markdown: str) -> str:
    return str(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown))


def unescaped(html: str) -> str:
    for entity, character in {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&amp;": "&"}.items():
        html = html.replace(entity, character)
    return html


def results_of(label: str) -> pd.DataFrame:
    row = dict.fromkeys(columns()) | {
        "trial_id": "t", "label": label, "method": "m", "network": label, "dataset": label, "scope": "fc", "seed": 0,
        "target_density": 0.1, "status": "ok", "test_accuracy": 0.5, "density": 0.1, "macs": 1, "macs_dense": 10,
        "density_layers": '{"first": 0, "second": 1}', "idle": "never acted",
    }  # fmt: skip
    failed = row | {"trial_id": "f", "seed": 1, "status": "failed", "error": f"{label}\n# {label}"}
    return pd.DataFrame([row, failed])


@pytest.mark.parametrize("label", LABELS)
def test_a_label_is_text_in_a_report(tmp_path: Path, label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    report = written(results_of(label), tmp_path, label).report
    html = html_of((tmp_path / "report.md").read_text())
    first = [unescaped(row) for row in re.findall(r"<tr>\s*<td[^>]*>(.*?)</td>", html)]
    assert first.count(label) >= 4  # each table of methods begins with it
    assert {each for each in first if each != label} == {check.name for check in checklist(report)}
    assert unescaped(html).count(label) >= 7
    tags = {tag.split()[0] for tag in re.findall(r"<(/?[a-z!][^>]*)>", html)}
    assert {tag.strip("/") for tag in tags} <= set("h1 h2 p table thead tbody tr th td ul li strong".split())
    assert all(re.fullmatch(r"[\d.,%± ]+", bold) for bold in re.findall(r"<strong>(.*?)</strong>", html))
    tex = (tmp_path / "report.tex").read_text()
    assert tex.isascii()
    assert escape.COMMANDS.issuperset(re.findall(r"\\ensuremath\{(\\[a-z]+)\}", tex))
    rows = [line for line in tex.splitlines() if line.endswith(r"\\")]
    assert len(rows) > 10
    assert not any(line.startswith(("[", "*")) for line in tex.splitlines())  # \\ before would take it


@pytest.mark.parametrize("label", LABELS)
def test_a_label_is_text_in_the_pictures_and_tables_of_a_search(
    tmp_path: Path, label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("switchbench.reports.search.pictures._pictures", lambda *_: [])
    point = PointRow(
        label=label, number=0, state=PointState.COMPLETE, objectives='["val_accuracy"]', values="[0.5]",
        params="{}", distributions="{}", best=True, density=0.0,
    )  # fmt: skip
    reports.write_search(parquet.frame([point], PointRow), tmp_path, label)
    html = html_of((tmp_path / "search.md").read_text())
    assert set(re.findall(r"<td>(.*?)</td>", html)) != set()
    assert unescaped(html).count(f">{label}<") >= 2
    page = (tmp_path / "index.html").read_text()
    assert re.findall(r"<h3>(.*?)</h3>", page)[-1] == label.translate({38: "&amp;", 60: "&lt;", 62: "&gt;"})
    assert "<script>alert" not in page


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("λ ≤ 0.1", r"\ensuremath{\lambda} \ensuremath{\leq} 0.1"),
        ("a_b & 5 %", r"a\_b \& 5 \%"),
        ("é Å ß", r"\'e \r{A} {\ss}"),
        ("中 я ą", "U+4E2D U+044F U+0105"),
        ("a\n\\b", r"a \textbackslash{}b"),
        ("1 ± 2–3 ×", r"1 $\pm$ 2--3 $\times$"),
        ("[1ex] *", "{[}1ex] {*}"),
        ("a -- b ?` ''", "a {-}{-} b ?{`} {'}{'}"),
        ("a\x1b[31m \u202eb", "aU+001B{[}31m U+202Eb"),
    ],
)
def test_latex_has_commands_that_need_no_package(text: str, expected: str) -> None:
    assert escape.latex(text) == expected


def test_every_character_is_ascii_in_latex() -> None:
    for code in (*range(32, 0x3000), *range(0x1D400, 0x1D800), 0x1F600):
        encoded = escape.latex(f"a{chr(code)}b")
        assert encoded.isascii()
        assert encoded.count("{") == encoded.count("}") or chr(code) in "{}"


def test_a_dollar_in_markdown_is_no_mathematics() -> None:
    assert escape.markdown("$a$") == r"\$a\$"


def test_an_error_does_not_reach_the_terminal_with_escape_codes(tmp_path: Path) -> None:
    results = results_of("label").assign(error="\x1b]0;title\x07 \u202eb\rc", status="failed")
    report = reports.build(results, "title")
    output = io.StringIO()
    console = Console(file=output, width=200)
    reports.show(reports.compose(results, "title"), console)
    assert output.getvalue().rstrip().endswith(": U+001B]0;titleU+0007 U+202Eb c")
    for text in (reports.text(report), latex.document([], report.problems, str)):
        assert "U+0007 U+202Eb c" in text
        assert all(line.isprintable() for line in text.split("\n"))
