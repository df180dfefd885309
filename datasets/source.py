"""The files of a data set: where they are looked for, how they are fetched, whether they are intact.

Web addresses and checksums are torchvision's, and so is the layout of the data folder: files that torchvision
has downloaded there are found.
"""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from switchbench.datasets.data import MissingData
from switchbench.datasets.download import ProgressCallback, download, md5_of, no_progress

ARCHIVES = (".zip", ".tar.gz")


@dataclass(frozen=True)
class RemoteFile:
    """A file on the web: a file of the data set, or an archive of such files."""

    name: str
    urls: tuple[str, ...]
    """Addresses, tried in this order."""
    md5: str
    """In hexadecimal."""


@dataclass(frozen=True)
class Manifest:
    """The published addresses and checksums of a data set's files."""

    remotes: tuple[RemoteFile, ...]
    checksums: dict[str, str]
    """MD5 by file name, for the files that have a published one."""


@dataclass(frozen=True)
class Source:
    """The files of a data set."""

    name: str
    """The data set."""
    torchvision_folder: str
    """Where torchvision keeps the files, relative to the data folder. Downloads are put there."""
    files: tuple[str, ...]
    """Names of the files that the loader reads. Each may lie there as it is or with ``.gz``."""
    manifest: Callable[[], Manifest]
    """Returns the manifest. A function, because importing torchvision takes seconds."""
    system_folders: tuple[Path, ...] = ()
    """Folders outside the data folder where an installed package may have put the files."""
    hint: str = ""
    """Another way to get the files, for the error message; a clause that ends with "or "."""

    def folders(self, data_folder: Path) -> list[Path]:
        """Return the folders where files are looked for, in this order. Users put files into the first."""
        return [data_folder / self.name, data_folder / self.torchvision_folder, *self.system_folders]

    def locate(self, data_folder: Path) -> list[Path] | None:
        """Look for the files on this machine.

        Args:
            data_folder: The local data folder.

        Returns:
            Paths in the order of ``files``, in the first folder that has them all; None if no folder does.
        """
        for folder in self.folders(data_folder):
            found = [path for name in self.files if (path := _find(folder, name))]
            if len(found) == len(self.files):
                return found
        return None

    def get(self, data_folder: Path) -> list[Path]:
        """Return the files; download them if they are not on this machine.

        Args:
            data_folder: The local data folder.

        Returns:
            Paths in the order of ``files``.

        Raises:
            MissingData: The download failed.
        """
        return self.locate(data_folder) or self.fetch(data_folder)

    def fetch(self, data_folder: Path, progress: ProgressCallback = no_progress) -> list[Path]:
        """Download the files. An interrupted download is resumed; processes take turns by a file lock.

        Args:
            data_folder: The local data folder.
            progress: Called after each chunk.

        Returns:
            Paths in the order of ``files``.

        Raises:
            MissingData: The download failed. The message says where the files were looked for, and how to
                get them by hand.
        """
        partial, target = data_folder / ".partial" / self.name, data_folder / self.torchvision_folder
        try:
            partial.mkdir(parents=True, exist_ok=True)
            with FileLock(partial.with_suffix(".lock")):
                if found := self.locate(data_folder):
                    return found  # another process was faster
                for remote in self.manifest().remotes:
                    download(remote.urls, partial / remote.name, remote.md5, progress)
                target.mkdir(parents=True, exist_ok=True)
                self._unpack(partial, target)
                shutil.rmtree(partial)
        except (OSError, ValueError, RuntimeError) as error:
            folders = self.folders(data_folder)
            by_hand = f"put its files ({', '.join(self.files)}) into {folders[0]}"
            raise MissingData(
                f"data set {self.name!r} is not here: looked in {', '.join(map(str, folders))}; "
                f"the download failed ({error}); "
                f"{self.hint}{by_hand} (set SWITCHBENCH_DATA for another data folder)"
            ) from error
        found = self.locate(data_folder)
        if found is None:
            raise MissingData(f"data set {self.name!r}: the download into {target} lacks files")
        return found

    def check(self, data_folder: Path) -> list[Path]:
        """Compare the files with the published checksums.

        Args:
            data_folder: The local data folder.

        Returns:
            Paths in the order of ``files``. A file without a published checksum counts as intact.

        Raises:
            MissingData: The files are not on this machine, or one differs from its checksum.
        """
        found = self.locate(data_folder)
        if found is None:
            raise MissingData(f"data set {self.name!r} is not here: switchbench data fetch {self.name}")
        for path in found:
            published = self.checksum(path)
            if published and (actual := md5_of(path)) != published:
                raise MissingData(f"{path}: corrupt: its MD5 is {actual}, not {published}")
        return found

    def checksum(self, path: Path) -> str | None:
        """Return the published MD5 of a file, in hexadecimal.

        None if none is published, or if the file lies in a system folder: packages compress files anew.
        """
        return None if path.parent in self.system_folders else self.manifest().checksums.get(path.name)

    def _unpack(self, partial: Path, target: Path) -> None:
        """Move downloaded files, and the needed members of downloaded archives, to ``target`` by renaming."""
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


def _find(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
