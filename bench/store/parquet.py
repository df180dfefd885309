"""Dataclasses as Parquet files, and back. The only code that imports pyarrow."""

from collections.abc import Iterable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from switchbench.atomic_files import atomic_write
from switchbench.errors import InputError

TYPES = {bool: pa.bool_(), str: pa.string(), int: pa.int64(), float: pa.float64()}
"""Of the columns; the first that fits, because a bool is an int as well."""


def schema(of: type) -> pa.Schema:
    """The columns of a dataclass of plain values, in order."""
    found = {}
    for name, hint in get_type_hints(of).items():
        (kind,) = {*(get_args(hint) or [hint])} - {NoneType}
        found[name] = next(arrow for plain, arrow in TYPES.items() if issubclass(kind, plain))
    return pa.schema(found)


def write(path: Path, rows: Iterable[Any], of: type | None = None) -> None:
    """Write instances of a dataclass, or dictionaries of numbers, whole or not at all.

    Args:
        path: The file.
        rows: What to write, a row each.
        of: The dataclass; None: the columns are those of the dictionaries.

    Raises:
        OSError: The file cannot be written.
    """
    plain = [asdict(row) if is_dataclass(row) and not isinstance(row, type) else row for row in rows]
    _encode(path, pa.Table.from_pylist(plain, schema=schema(of) if of else None))


def write_table(path: Path, table: pd.DataFrame, of: type) -> None:
    """Write a table with the columns of a dataclass."""
    _encode(path, pa.Table.from_pandas(table, schema=schema(of), preserve_index=False))


def frame(rows: Iterable[Any], of: type) -> pd.DataFrame:
    """Instances of a dataclass as a table."""
    table: pd.DataFrame = pa.Table.from_pylist([asdict(row) for row in rows], schema=schema(of)).to_pandas()
    return table


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a file that must be sound. Raises InputError if it is broken."""
    rows: list[dict[str, Any]] = _table(path).to_pylist()
    return rows


def read_table(path: Path, of: type) -> pd.DataFrame:
    """A file that must be sound, with the columns of a dataclass; older files lack newer columns. Raises
    InputError if it is broken."""
    table: pd.DataFrame = _table(path).to_pandas()
    return table.reindex(columns=schema(of).names)


def read_if_sound(path: Path) -> list[dict[str, Any]]:
    """The rows of a file; none if it is missing or broken. We publish whole files only, so that a broken one
    comes from a failing disk or an interrupted copy."""
    try:
        rows: list[dict[str, Any]] = pq.ParquetFile(path).read().to_pylist() if path.exists() else []
    except pa.ArrowInvalid:
        return []
    return rows


def _table(path: Path) -> pa.Table:
    try:
        return pq.ParquetFile(path).read()
    except pa.ArrowException as error:
        raise InputError(f"{path}: broken ({' '.join(str(error).split())})") from error


def _encode(path: Path, table: pa.Table) -> None:
    with atomic_write(path) as stream:
        pq.write_table(table.replace_schema_metadata(None), stream)
