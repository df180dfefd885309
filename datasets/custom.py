"""Data at a path of the user: its options, and an identity made of what its loader reads."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from switchbench.datasets.cache import Stat, stats
from switchbench.datasets.data import MissingData


class CustomConfig(BaseModel):
    """Options of data at a path. A trial's identity has the content of the files in place of the path."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str

    def files(self) -> list[Path]:
        """Return all files that the loader reads, and no others, in a fixed order."""
        raise NotImplementedError

    def content(self) -> str:
        """Return a hash of all files and their names relative to the path.

        Raises:
            MissingData: A file cannot be read.
        """
        files = self.files()
        try:
            return _content_hash(Path(self.path), tuple(stats(files)))
        except UnicodeEncodeError as error:
            raise MissingData(f"path: the name {error.object!a} is not in UTF-8; rename it") from error
        except OSError as error:
            raise MissingData(f"path: {self.path}: cannot be read ({error})") from error

    def identity(self) -> dict[str, Any]:
        """Return the options as they count in a trial's identity: ``path`` is replaced by ``content``.

        Raises:
            MissingData: A file cannot be read.
        """
        return self.model_dump(mode="json", exclude={"path"}) | {"content": self.content()}


@lru_cache(maxsize=8)
def _content_hash(root: Path, files: tuple[Stat, ...]) -> str:
    """Hash files and their names relative to ``root``. While their stats stay, they are not read again."""
    digest = hashlib.sha256()
    for file, _, size, _, _ in files:
        name = "" if file == root else file.relative_to(root).as_posix()
        digest.update(f"{name}\0{size}\0".encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]
