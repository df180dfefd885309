"""Reading and writing dataclasses as Parquet files. The only code that imports pyarrow."""

import hashlib
import io
import logging
from collections.abc import Iterable
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from switchbench.atomic_files import atomic_write, reason
from switchbench.errors import InputError

SEAL = bytes.fromhex("9a1f5e0c7bd84d21a6c3f2708e94b15d")
"""Precedes the SHA-256 digest of a file's other bytes. Both are before the footer, where no reader looks."""
SEALED = {b"switchbench.sealed": b"yes"}
"""Metadata of a file with a digest, so that one whose seal has changed is not taken for an older one."""


class BrokenFile(InputError):
    """A file is not what was written."""


ARROW_TYPES = {bool: pa.bool_(), str: pa.string(), int: pa.int64(), float: pa.float64()}
"""Arrow type of a Python type. The first match counts: bool is a subclass of int."""


def schema(row_type: type) -> pa.Schema:
    """Return the schema of a dataclass of plain values, with its fields in order."""
    types = {}
    for name, hint in get_type_hints(row_type).items():
        (python_type,) = {*(get_args(hint) or [hint])} - {NoneType}
        types[name] = next(arrow for plain, arrow in ARROW_TYPES.items() if issubclass(python_type, plain))
    return pa.schema(types)


def write(path: Path, rows: Iterable[Any], row_type: type | None = None) -> None:
    """Write instances of a dataclass, or dictionaries of numbers, atomically.

    Args:
        path: The file.
        rows: The instances or dictionaries, one per row.
        row_type: The dataclass; None: the columns are the keys of the dictionaries.

    Raises:
        OSError: The file cannot be written.
    """
    plain = [asdict(row) if is_dataclass(row) and not isinstance(row, type) else row for row in rows]
    _write_table(path, pa.Table.from_pylist(plain, schema=schema(row_type) if row_type else None))


def write_table(path: Path, table: pd.DataFrame, row_type: type) -> None:
    """Write a table with the columns of a dataclass, atomically. Raises OSError."""
    _write_table(path, pa.Table.from_pandas(table, schema=schema(row_type), preserve_index=False))


def frame(rows: Iterable[Any], row_type: type) -> pd.DataFrame:
    """Convert instances of a dataclass to a table."""
    plain = [asdict(row) for row in rows]
    table: pd.DataFrame = pa.Table.from_pylist(plain, schema=schema(row_type)).to_pandas()
    return table


def read(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a file. Raises InputError if the file is broken."""
    rows: list[dict[str, Any]] = _table(path).to_pylist()
    return rows


def read_table(path: Path, row_type: type) -> pd.DataFrame:
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


def read_if_sound(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a file; return no rows if the file is missing or broken. A broken one is named in a
    warning.

    Files are written atomically, so a broken one comes from a failing disk or an interrupted copy.

    Raises:
        InputError: The file exists and cannot be read now, as without permission.
    """
    try:
        return read(path) if path.exists() else []
    except BrokenFile as error:
        logging.getLogger(__name__).warning("%s; it counts as missing", error)
        return []


def _table(path: Path) -> pa.Table:
    """Read a file and verify its digest, or the checksums of its pages. Older files have neither."""
    try:
        content = path.read_bytes()
    except IsADirectoryError as error:
        raise BrokenFile(f"{path}: a folder, not a Parquet file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
    try:
        plain = _unsealed(content)
        table = pq.ParquetFile(pa.BufferReader(plain), page_checksum_verification=True).read()
        table.validate(full=True)  # files without a digest may hold anything, such as text that is none
        if plain is content and SEALED.items() <= (table.schema.metadata or {}).items():
            raise ValueError("its bytes have changed since it was written")
        return table
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BrokenFile(f"{path}: not a readable Parquet file ({' '.join(str(error).split())})") from error


def _write_table(path: Path, table: pa.Table) -> None:
    plain = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(SEALED), plain)
    with atomic_write(path) as stream:
        stream.write(_sealed(plain.getvalue()))


def _sealed(content: bytes) -> bytes:
    """Insert the digest of a Parquet file before its footer, whose length is near the end of the file."""
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    return content[:footer] + SEAL + hashlib.sha256(content).digest() + content[footer:]


def _unsealed(content: bytes) -> bytes:
    """Undo :func:`_sealed`; a file without a digest stays as it is. Raises ValueError if bytes changed."""
    before, seal, after = content.rpartition(SEAL)
    if not seal:
        return content
    size = hashlib.sha256().digest_size
    digest, plain = after[:size], before + after[size:]
    if hashlib.sha256(plain).digest() != digest:
        raise ValueError("its bytes have changed since it was written")
    return plain
