"""Where Optuna's studies are kept: a journal file, or a database that several drivers share."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from switchbench.errors import InputError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


@dataclass(frozen=True)
class StudyStorage:
    """Plain values that say where studies are; sent to workers."""

    journal: Path
    url: str | None
    """Of a database that takes the journal's place."""

    @property
    def is_shared(self) -> bool:
        """Whether other drivers may use the studies at the same time."""
        return self.url is not None

    def open(self) -> "BaseStorage":
        """Open the storage. Raises InputError if a database does not answer."""
        from optuna.storages import JournalStorage, RDBStorage
        from optuna.storages.journal import JournalFileBackend

        if self.url is None:
            return JournalStorage(JournalFileBackend(str(self.journal)))
        try:
            return RDBStorage(self.url, engine_kwargs={"pool_pre_ping": True})
        except Exception as error:  # every database has its own
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"--storage {_without_password(self.url)}: {reason}") from error

    def repair(self) -> None:
        """Cut off what a killed driver has left half written at the end of the journal."""
        if self.url is None and self.journal.exists():
            content = self.journal.read_bytes()
            sound = content.rfind(b"\n") + 1
            if sound < len(content):
                with self.journal.open("r+b") as stream:
                    stream.truncate(sound)


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"{head.split('://')[0]}://…{at}{tail}" if at else url
