"""Measure some topics or all, store the numbers, and write docs/performance.md."""

import argparse
from datetime import UTC, datetime
from importlib import import_module

from performance import TOPICS, document, machine, records
from switchbench.cluster.allocator import freed_memory_kept


def main() -> None:
    """Measure topic by topic. Each is stored when it is done, so that an interrupt loses one topic."""
    parser = argparse.ArgumentParser(prog="performance", description=__doc__)
    parser.add_argument("topics", nargs="*", help=f"default: all of {', '.join(TOPICS)}")
    parser.add_argument(
        "--pairs", type=int, choices=range(1, 101), default=3, metavar="N", help="how often each is measured"
    )
    parser.add_argument("--write", action="store_true", help="only write the page of what is stored")
    options = parser.parse_args()
    if unknown := [topic for topic in options.topics if topic not in TOPICS]:
        parser.error(f"topics: unknown {unknown[0]!r}; known: {', '.join(TOPICS)}")
    for topic in () if options.write else options.topics or TOPICS:
        module = import_module(f"performance.{topic}")
        print(f"== {module.TITLE}", flush=True)
        measured = []
        with freed_memory_kept():  # as in a worker; what is compared with a trial runs so too
            for measurement in module.measure(options.pairs):
                measured.append(measurement)
                print(document.line(measurement), flush=True)
        if not measured:  # what another machine has measured stays
            print("skipped: this machine lacks what it measures", flush=True)
        else:
            today = datetime.now(UTC).date().isoformat()
            section = records.Section(topic, machine.description(), today, measured)
            records.save(records.load() | {topic: section})
    stored = records.load()
    document.write(stored[topic] for topic in TOPICS if topic in stored)


if __name__ == "__main__":
    main()
