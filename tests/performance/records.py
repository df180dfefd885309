"""The stored measurements, docs/performance.json: one section per topic, each with its machine and date."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from performance.measurement import Measurement

DOCS = Path(__file__).parents[2] / "docs"
FILE = DOCS / "performance.json"


@dataclass(frozen=True)
class Section:
    """The measurements of one topic."""

    topic: str
    """Name of its module, which has the title and the text."""
    machine: str
    date: str
    measurements: list[Measurement]


def load() -> dict[str, Section]:
    """Return the stored sections by topic."""
    if not FILE.exists():
        return {}
    return {topic: _section(plain) for topic, plain in json.loads(FILE.read_text(encoding="utf-8")).items()}


def save(sections: dict[str, Section]) -> None:
    """Store the sections."""
    plain = {topic: asdict(section) for topic, section in sections.items()}
    FILE.write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _section(plain: dict[str, Any]) -> Section:
    return Section(**plain | {"measurements": [Measurement(**row) for row in plain["measurements"]]})
