"""The files of a data set: where they may lie, where they come from, whether they are sound.

Web addresses and checksums are torchvision's. What torchvision has fetched into the data folder is found
there.
"""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from switchbench.datasets.data import MissingData
from switchbench.datasets.download import Progress, download, md5_of, quiet

ARCHIVES = (".zip", ".tar.gz")


@dataclass(frozen=True)
class Remote:
    """A file on the web: one of a data set's, or an archive of them."""

    name: str
    urls: tuple[str, ...]
    """The first that has it is taken."""
    md5: str


@dataclass(frozen=True)
class Table:
    """What torchvision says of a data set's files."""

    remotes: tuple[Remote, ...]
    checksums: dict[str, str]
    """MD5 by file name, of the files for which one is published."""


@dataclass(frozen=True)
class Source:
    """A data set's files."""

    name: str
    layout: str
    """Folder below the data folder in which torchvision keeps them."""
    files: tuple[str, ...]
    """What is read. A name stands for itself or for the same with ``.gz``."""
    table: Callable[[], Table]
    elsewhere: tuple[Path, ...] = ()
    """Folders of the system that may hold them."""
    hint: str = ""
    """Another way to get them."""

    def places(self, folder: Path) -> list[Path]:
        """Where files are looked for, in this order; the first is the one to put them into by hand."""
        return [folder / self.name, folder / self.layout, *self.elsewhere]

    def locate(self, folder: Path) -> list[Path] | None:
        """The files in the first place that has them all."""
        for place in self.places(folder):
            found = [path for name in self.files if (path := _find(place, name))]
            if len(found) == len(self.files):
                return found
        return None

    def get(self, folder: Path) -> list[Path]:
        """The files, fetched if they are nowhere. Raises MissingData."""
        return self.locate(folder) or self.fetch(folder)

    def fetch(self, folder: Path, progress: Progress = quiet) -> list[Path]:
        """Download into the data folder, going on where an earlier attempt stopped. Raises MissingData."""
        partial, target = folder / ".partial" / self.name, folder / self.layout
        try:
            partial.mkdir(parents=True, exist_ok=True)
            with FileLock(partial.with_suffix(".lock")):
                if found := self.locate(folder):
                    return found  # another process was faster
                for remote in self.table().remotes:
                    download(remote.urls, partial / remote.name, remote.md5, progress)
                target.mkdir(parents=True, exist_ok=True)
                self._unpack(partial, target)
                shutil.rmtree(partial)
        except (OSError, ValueError, RuntimeError) as error:
            looked = ", ".join(str(place) for place in self.places(folder))
            by_hand = f"put its files ({', '.join(self.files)}) into {self.places(folder)[0]}"
            raise MissingData(
                f"data set {self.name!r} is not here: looked in {looked}; the download failed ({error}); "
                f"{self.hint}{by_hand} (set SWITCHBENCH_DATA for another data folder)"
            ) from error
        found = self.locate(folder)
        if found is None:
            raise MissingData(f"data set {self.name!r}: what was fetched into {target} lacks files")
        return found

    def check(self, folder: Path) -> list[Path]:
        """The files, compared with the published checksums. Raises MissingData."""
        found = self.locate(folder)
        if found is None:
            raise MissingData(f"data set {self.name!r} is not here: switchbench data fetch {self.name}")
        for path in found:
            known = self.checksum(path)
            if known and (actual := md5_of(path)) != known:
                raise MissingData(f"{path}: corrupt: its MD5 is {actual}, not {known}")
        return found

    def checksum(self, path: Path) -> str | None:
        """The published MD5 of a file; none of one that a system has packed in its own way."""
        return None if path.parent in self.elsewhere else self.table().checksums.get(path.name)

    def _unpack(self, partial: Path, target: Path) -> None:
        """Bring the files that are read into place, each whole."""
        from torchvision.datasets.utils import extract_archive

        for path in [*partial.iterdir()]:
            if not path.name.endswith(ARCHIVES):
                path.replace(target / path.name)
                continue
            with tempfile.TemporaryDirectory(dir=partial) as scratch:
                extract_archive(str(path), scratch)
                for member in Path(scratch).rglob("*"):
                    if member.name.removesuffix(".gz") in self.files:
                        member.replace(target / member.name)


def _find(place: Path, name: str) -> Path | None:
    return next((path for path in (place / name, place / f"{name}.gz") if path.is_file()), None)
