"""Reading and writing dataclasses as Parquet files."""

import io
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.parquet as pq

from switchbench.atomic_files import reason
from switchbench.errors import InputError
from switchbench.row import Stored
from switchbench.store.objects import StorePath, write_stream
from switchbench.store.seal import label_of, sealed, unsealed

if TYPE_CHECKING:
    import pandas as pd

SEALED = {b"switchbench.sealed": b"yes"}
"""Metadata of a file with a digest, so that one whose seal has changed is not taken for an older one."""


StoredT = TypeVar("StoredT", bound=Stored)


class BrokenFile(InputError):
    """A file is not what was written."""


class MissingFile(InputError):
    """There is no such file."""


ARROW_TYPES = {bool: pa.bool_(), str: pa.string(), int: pa.int64(), float: pa.float64()}
"""Arrow type of a Python type. The first match counts: bool is a subclass of int."""
FEW_ROWS = 100
ROW_GROUP = 2_000
"""Rows that are read together when one is looked up."""


@cache
def schema(row_type: type) -> pa.Schema:
    """Return the schema of a dataclass of plain values, with its fields in order."""
    types = {}
    for name, hint in get_type_hints(row_type).items():
        (python_type,) = {*(get_args(hint) or [hint])} - {NoneType}
        types[name] = next(arrow for plain, arrow in ARROW_TYPES.items() if issubclass(python_type, plain))
    return pa.schema(types)


def write(path: StorePath, rows: Iterable[Any], row_type: type | None = None, label: str = "") -> None:
    """Write instances of a dataclass, or dictionaries of numbers, atomically.

    Args:
        path: The file.
        rows: The instances or dictionaries, one per row.
        row_type: The dataclass; None: the columns are the keys of the dictionaries.
        label: A short text that :func:`label_if_sound` reads, about ten times as fast as a table is read.

    Raises:
        OSError: The file cannot be written.
    """
    _write_table(path, _arrow(rows, row_type), label)


def gather(path: StorePath, rows: Iterable[Any], key: str, row_type: type | None = None) -> None:
    """Add rows to a file, atomically. They replace those rows of the file that have the same key.

    Args:
        path: The file; it is made if it is missing. It is sorted by key, so that one key is found quickly.
        rows: As for :func:`write`.
        key: Column of the key, which several rows may share.
        row_type: As for :func:`write`.

    Raises:
        OSError: The file cannot be written.
        InputError: The file is broken.
    """
    table = _arrow(rows, row_type)
    if not table.num_rows:
        return
    if path.exists():
        before = _table(path)
        others = before.filter(compute.invert(compute.is_in(before[key], table[key].combine_chunks())))
        table = pa.concat_tables([others, table], promote_options="permissive")
    _write_table(path, table.sort_by(key))


def write_table(path: StorePath, table: "pd.DataFrame", row_type: type) -> None:
    """Write a table with the columns of a dataclass, atomically. Raises OSError."""
    _write_table(path, pa.Table.from_pandas(table, schema=schema(row_type), preserve_index=False))


def frame(rows: Iterable[Any], row_type: type) -> "pd.DataFrame":
    """Convert instances of a dataclass to a table."""
    plain = [asdict(row) for row in rows]
    table: pd.DataFrame = pa.Table.from_pylist(plain, schema=schema(row_type)).to_pandas()
    return table


def typed(table: "pd.DataFrame", row_type: type) -> "pd.DataFrame":
    """Return a table with the columns of a dataclass and their types."""
    arrow = pa.Table.from_pandas(table, schema=schema(row_type), preserve_index=False)
    converted: pd.DataFrame = arrow.to_pandas()
    return converted


def plain_rows(table: "pd.DataFrame", row_type: type) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table with the columns of a dataclass; missing values are None."""
    for batch in pa.Table.from_pandas(table, schema=schema(row_type), preserve_index=False).to_batches(1_000):
        yield from batch.to_pylist()


def read(path: StorePath, columns: Sequence[str] | None = None, **only: str) -> list[dict[str, Any]]:
    """Read the rows of a file.

    Args:
        path: The file.
        columns: Columns to read; None: all.
        only: Values by column: other rows are left out.

    Returns:
        The rows.

    Raises:
        InputError: The file is broken.
    """
    rows: list[dict[str, Any]] = _table(path, columns, **only).to_pylist()
    return rows


def read_table(path: StorePath, row_type: type) -> "pd.DataFrame":
    """Read a file as a table with the columns of a dataclass.

    Columns that an older file lacks are filled with missing values, and other columns are dropped.

    Raises:
        InputError: The file is broken, or holds another table.
    """
    stored, required = _table(path), {each.name for each in fields(row_type) if each.default is MISSING}
    columns = {}
    for column in schema(row_type):
        try:
            found = column.name in required or column.name in stored.column_names
            values = (
                stored.column(column.name).cast(column.type) if found else pa.nulls(len(stored), column.type)
            )
        except (KeyError, pa.ArrowException) as error:
            raise BrokenFile(
                f"{path}: not a table of this version of switchbench: column {column.name}"
            ) from error
        if column.name in required and values.null_count:
            raise BrokenFile(f"{path}: not a table of this version of switchbench: {column.name} is missing")
        columns[column.name] = values
    table: pd.DataFrame = pa.table(columns).to_pandas()
    return table


def read_if_sound(path: StorePath, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Read the rows of a file; return no rows if the file is missing or broken. A broken one is named in a
    warning.

    Files are written atomically, so a broken one comes from a failing disk or an interrupted copy.

    Args:
        path: The file.
        columns: As for :func:`read`.

    Returns:
        The rows.

    Raises:
        InputError: The file exists and cannot be read now, as without permission.
    """
    table = _table_if_sound(path, columns)
    rows: list[dict[str, Any]] = [] if table is None else table.to_pylist()
    return rows


def label_if_sound(path: StorePath) -> str:
    """Return the label of a file; empty if it has none, as older files, or is missing or broken."""
    try:
        return label_of(path.read_bytes()).decode()
    except (OSError, ValueError):
        return ""


def frame_if_sound(path: StorePath) -> "pd.DataFrame":
    """Read a file of numbers as a table, as :func:`read_if_sound` reads rows; empty if there is none."""
    table = _table_if_sound(path)
    frame: pd.DataFrame = (pa.table({}) if table is None else table).to_pandas()
    return frame


def stored_rows(row_type: type[StoredT], rows: Iterable[Mapping[str, Any]], path: StorePath) -> list[StoredT]:
    """Make instances from the rows of a file. Raises InputError that names the file."""
    try:
        return [row_type.stored(row) for row in rows]
    except ValueError as error:
        raise InputError(f"{path}: not a table of this version of switchbench: {error}") from error


def stored_ids(folder: StorePath) -> list[str]:
    """Return the ids of the trials that have a file in a folder, sorted."""
    if isinstance(folder, Path) and not folder.is_dir():
        return []
    return sorted(file.stem for file in folder.iterdir() if re.fullmatch(r"\w+\.parquet", file.name))


class SortedFile:
    """A file that :func:`gather` has written, read once to look up many keys; empty if there is none."""

    def __init__(self, path: StorePath, key: str) -> None:
        """Read the file, as :func:`read_if_sound` does."""
        self._table = _table_if_sound(path)
        keys = [] if self._table is None else self._table.column(key).to_pylist()
        self._keys = np.array(keys, dtype=object)

    def rows(self, value: str) -> list[dict[str, Any]]:
        """Return the rows of a key."""
        if self._table is None:
            return []
        start, end = (
            int(np.searchsorted(self._keys, value, side="left")),
            int(np.searchsorted(self._keys, value, side="right")),
        )
        rows: list[dict[str, Any]] = self._table.slice(start, end - start).to_pylist()
        return rows


def _table_if_sound(path: StorePath, columns: Sequence[str] | None = None) -> pa.Table | None:
    try:
        return _table(path, columns)
    except MissingFile:
        return None
    except BrokenFile as error:
        logging.getLogger(__name__).warning("%s; it counts as missing", error)
        return None


def _arrow(rows: Iterable[Any], row_type: type | None) -> pa.Table:
    plain = [asdict(row) if is_dataclass(row) and not isinstance(row, type) else row for row in rows]
    if row_type:
        return pa.Table.from_pylist(plain, schema=schema(row_type))
    names = dict.fromkeys(name for row in plain for name in row)  # rows may have different columns
    return pa.table({name: [row.get(name) for row in plain] for name in names})


def _table(path: StorePath, columns: Sequence[str] | None = None, **only: str) -> pa.Table:
    """Read a file and verify its digest, or the checksums of its pages. Older files have neither."""
    try:
        content = path.read_bytes()
    except IsADirectoryError as error:
        raise BrokenFile(f"{path}: a folder, not a Parquet file") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFile(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
    try:
        plain = unsealed(content)
        source = pa.BufferReader(plain)
        if only:
            filters = [(name, "=", value) for name, value in only.items()]
            table = pq.read_table(source, filters=filters, page_checksum_verification=True)
        else:
            file = pq.ParquetFile(source, page_checksum_verification=True)
            table = file.read(columns, use_threads=False)
        table.validate(full=True)  # files without a digest may hold anything, such as text that is none
        if plain is content and SEALED.items() <= (table.schema.metadata or {}).items():
            raise ValueError("its bytes have changed since it was written")
        return table
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise BrokenFile(f"{path}: not a readable Parquet file ({' '.join(str(error).split())})") from error


def _write_table(path: StorePath, table: pa.Table, label: str = "") -> None:
    """Write a file. A file of few rows has neither dictionaries nor statistics: they would be most of it."""
    few, plain = table.num_rows < FEW_ROWS, io.BytesIO()
    table = table.replace_schema_metadata(SEALED)
    pq.write_table(table, plain, use_dictionary=not few, write_statistics=not few, row_group_size=ROW_GROUP)
    with write_stream(path) as stream:
        stream.write(sealed(plain.getvalue(), label.encode()))
