"""The storage of Optuna's studies: a journal file, or a database that several drivers share."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from switchbench.errors import ExitCode, InputError, RunStopped, without_passwords
from switchbench.store.objects import StorePath

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


def check_storage(folder: StorePath, url: str | None) -> None:
    """Check that a search has a place for its studies.

    Args:
        folder: Folder of the results.
        url: A database, as in :class:`StudyStorage`.

    Raises:
        InputError: There is no database, and the folder is in an object store, which cannot hold a study.
    """
    if not url and not isinstance(folder, Path):
        raise InputError(f"--storage: is required with --out {folder}, which cannot hold a study")


def reason_of(error: BaseException) -> str:
    """Return the first line of what an error of a storage says."""
    from optuna.exceptions import StorageInternalError

    if isinstance(error, StorageInternalError) and error.__cause__:  # Optuna guesses, the database knows
        return reason_of(error.__cause__)
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@dataclass(frozen=True)
class StudyStorage:
    """Location of a search's studies. Holds only plain values, so that it can be sent to workers."""

    journal: str
    """The journal file."""
    url: str | None
    """URL of a database that is used instead of the journal; None: the journal is used."""

    @property
    def is_shared(self) -> bool:
        """Whether several drivers may use the studies at the same time."""
        return self.url is not None

    def open(self) -> "BaseStorage":
        """Open the storage.

        Raises:
            InputError: The journal cannot be opened or is broken, or the database does not answer.
        """
        from optuna.storages import JournalStorage, RDBStorage
        from optuna.storages.journal import JournalFileBackend

        if self.url is None:
            try:
                return JournalStorage(JournalFileBackend(self.journal))
            except OSError as error:
                if Path(self.journal).is_dir():
                    raise self._broken_journal(type(error).__name__) from error
                raise InputError(f"{self.journal}: cannot be opened: {error.strerror or error}") from error
            except Exception as error:  # Optuna replays every line, which may be anything
                raise self._broken_journal(type(error).__name__) from error
        try:
            return RDBStorage(self.url, engine_kwargs={"pool_pre_ping": True})
        except Exception as error:  # each database driver has its own exceptions
            raise InputError(without_passwords(f"--storage {self.url}: {reason_of(error)}")) from error

    @contextmanager
    def needed(self) -> Iterator[None]:
        """Make it a RunStopped if the database does not answer any more during the block."""
        from optuna.exceptions import StorageInternalError

        try:
            yield
        except StorageInternalError as error:
            problem = without_passwords(f"--storage {self.url}: {reason_of(error)}")
            raise RunStopped(problem, ExitCode.CLUSTER_LOST) from error

    def repair(self) -> None:
        """Remove an incomplete last line from the journal, which a killed driver may leave.

        Raises:
            InputError: It is no line of a journal.
        """
        journal = Path(self.journal)
        if self.url is None and journal.is_file():
            content = journal.read_bytes()
            complete = content.rfind(b"\n") + 1
            if content[complete:] and not content[complete:].startswith(b"{"):
                raise self._broken_journal("its last line is no JSON")
            if complete < len(content):
                with journal.open("r+b") as stream:
                    stream.truncate(complete)

    def _broken_journal(self, problem: str) -> InputError:
        remedy = "restore a copy of it, or move it away: the search then draws its points anew"
        return InputError(
            f"{self.journal}: not a journal of Optuna, or broken ({problem}); {remedy}, "
            "and stored trials are not trained again"
        )
