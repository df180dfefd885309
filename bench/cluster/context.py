"""Where and how the trials of a run are run and shown."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Self

from rich.console import Console

from switchbench.observe.mlflow import Mirror, is_off
from switchbench.observe.observer import Observer
from switchbench.observe.terminal import plain_console
from switchbench.plugins.load import load
from switchbench.store.ledger import Ledger


@dataclass(frozen=True)
class RunContext:
    """What a run needs beside its spec and its folder. None of it changes a result."""

    address: str | None
    """Of a running Ray cluster; None: one of this machine's own."""
    mlflow_uri: str | None
    """MLflow server or database; None: a file in the folder of the results; ``none``: off."""
    plugins: Sequence[ModuleType]
    """Plug-in files that are loaded, sent to workers by value."""
    console: Console

    @classmethod
    def of(
        cls,
        address: str | None,
        mlflow_uri: str | None,
        plugin_files: Iterable[str | Path],
        console: Console | None,
    ) -> Self:
        """Load the plug-ins. Raises InputError."""
        return cls(address, mlflow_uri, load(plugin_files), console or plain_console(stderr=True))

    @contextmanager
    def mirror(self, ledger: Ledger, comparison: Ledger | None = None) -> Iterator[list[Observer]]:
        """Send a ledger's rows to MLflow while they come, and the report at the end.

        Args:
            ledger: What is sent.
            comparison: The comparison that the ledger's search leads to, if it is a search's; its folder then
                has the default MLflow file.

        Yields:
            The observers to be told of rows; none where MLflow is off.
        """
        if is_off(self.mlflow_uri):
            yield []
            return
        home = comparison or ledger
        mirror = Mirror(ledger, self.mlflow_uri or (home.mlflow_uri if comparison else None))
        mirror.start()
        yield [mirror]
        mirror.close()
        if mirror.problem:
            lost = f"MLflow lacks results ({mirror.problem}); nothing is lost"
            self.console.print(f"{lost}: switchbench sync {home.folder} sends them", soft_wrap=True)
