"""Settings of a run that do not change its results: cluster, MLflow, plug-ins, console."""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Self

from rich.console import Console

from switchbench.cluster.machine import check_jobs
from switchbench.errors import without_passwords
from switchbench.observe.mlflow import Mirror
from switchbench.observe.mlflow_client import URI_VARIABLE, is_off, resolve
from switchbench.observe.notebook import in_notebook
from switchbench.observe.observer import Observer
from switchbench.observe.terminal import plain_console
from switchbench.plugins.load import load
from switchbench.store.ledger import Ledger


@dataclass(frozen=True)
class RunContext:
    """Settings of a run beside its spec and its folder. None of them changes a result."""

    address: str | None
    """Address of a running Ray cluster; ``local``: a new one on this machine; None: processes of this
    machine where they suffice."""
    mlflow_uri: str | None
    """MLflow server or database; None: a sqlite file in the folder of the results; ``none``: off."""
    plugins: Sequence[ModuleType]
    """Modules of the plug-in files; they are sent to workers by value."""
    console: Console
    """Where progress and tables are printed."""
    jobs: int | None = None
    """Largest number of trials that run at the same time on this machine; 0: in this process; None: as many
    as fit."""

    @classmethod
    def create(
        cls,
        address: str | None,
        mlflow_uri: str | None,
        plugin_files: Iterable[str | Path],
        console: Console | None,
        jobs: int | None = None,
    ) -> Self:
        """Load the plug-ins and make a context.

        Args:
            address: As the attribute.
            mlflow_uri: As the attribute; None: ``$MLFLOW_TRACKING_URI``, if it is set.
            plugin_files: Python files that register methods, networks or data sets.
            console: As the attribute; None: standard error, and in a notebook only its bar of progress.
            jobs: As the attribute.

        Returns:
            The context.

        Raises:
            InputError: A plug-in cannot be loaded, or the number of jobs is negative.
        """
        check_jobs(jobs)
        printed = console or plain_console(stderr=True)
        printed.quiet = printed.quiet or (console is None and in_notebook())  # which shows the results itself
        return cls(address, resolve(mlflow_uri), load(plugin_files), printed, jobs)

    def say(self, line: str) -> None:
        """Print a line as it is."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def warn(self, line: str) -> None:
        """Print a line, also where nothing else is printed."""
        if self.console.quiet:
            logging.getLogger(__name__).warning("%s", line)
        else:
            self.say(line)

    @contextmanager
    def mirror(self, ledger: Ledger, comparison: Ledger | None = None) -> Iterator[list[Observer]]:
        """Send a ledger's rows to MLflow as they are stored, and the report at the end of the block.

        Args:
            ledger: The ledger whose rows are sent.
            comparison: For the ledger of a search, the comparison that it belongs to; the default MLflow file
                is then in the comparison's folder.

        Yields:
            Observers that must receive the rows; an empty list if MLflow is off.
        """
        owner = comparison or ledger
        if is_off(self.mlflow_uri):
            yield []
            return
        if not self.mlflow_uri and not owner.mlflow_uri:
            self.warn(f"MLflow is off: {owner.folder} cannot hold its database; name one with --mlflow-uri")
            yield []
            return
        if self.mlflow_uri and not comparison:
            origin = f" ({URI_VARIABLE})" if self.mlflow_uri == os.environ.get(URI_VARIABLE) else ""
            self.say(f"MLflow: {without_passwords(self.mlflow_uri)}{origin}")
        mirror = Mirror(ledger, self.mlflow_uri, owner)
        mirror.start()
        try:
            yield [mirror]
        except BaseException:  # a signal, as a rule: then nobody waits
            mirror.interrupt()
            raise
        mirror.close()
        if mirror.problem:
            problem = f"MLflow lacks some results ({mirror.problem}); the results folder has all"
            self.warn(f"{problem}; send them with: switchbench sync {owner.folder}")
