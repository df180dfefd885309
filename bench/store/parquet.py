"""Reading and writing dataclasses as Parquet files."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict, is_dataclass
from types import NoneType
from typing import Any, get_args, get_type_hints

import pandas as pd
import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.parquet as pq

from switchbench.errors import InputError
from switchbench.store.objects import StorePath, write_stream


class BrokenFile(InputError):
    """A file is not what was written."""


class MissingFile(InputError):
    """There is no such file."""


ARROW_TYPES = {bool: pa.bool_(), str: pa.string(), int: pa.int64(), float: pa.float64()}
"""Arrow type of a Python type. The first match counts: bool is a subclass of int."""
FEW_ROWS = 100
ROW_GROUP = 2_000
"""Rows that are read together when one is looked up."""


def schema(row_type: type) -> pa.Schema:
    """Return the schema of a dataclass of plain values, with its fields in order."""
    types = {}
    for name, hint in get_type_hints(row_type).items():
        (python_type,) = {*(get_args(hint) or [hint])} - {NoneType}
        types[name] = next(arrow for plain, arrow in ARROW_TYPES.items() if issubclass(python_type, plain))
    return pa.schema(types)


def write(path: StorePath, rows: Iterable[Any], row_type: type | None = None) -> None:
    """Write instances of a dataclass, or dictionaries of numbers, atomically.

    Args:
        path: The file.
        rows: The instances or dictionaries, one per row.
        row_type: The dataclass; None: the columns are the keys of the dictionaries.

    Raises:
        OSError: The file cannot be written.
    """
    _write_table(path, _arrow(rows, row_type))


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


def write_table(path: StorePath, table: pd.DataFrame, row_type: type) -> None:
    """Write a table with the columns of a dataclass, atomically. Raises OSError."""
    _write_table(path, pa.Table.from_pandas(table, schema=schema(row_type), preserve_index=False))


def frame(rows: Iterable[Any], row_type: type) -> pd.DataFrame:
    """Convert instances of a dataclass to a table."""
    plain = [asdict(row) for row in rows]
    table: pd.DataFrame = pa.Table.from_pylist(plain, schema=schema(row_type)).to_pandas()
    return table


def typed(table: pd.DataFrame, row_type: type) -> pd.DataFrame:
    """Return a table with the columns of a dataclass and their types."""
    arrow = pa.Table.from_pandas(table, schema=schema(row_type), preserve_index=False)
    converted: pd.DataFrame = arrow.to_pandas()
    return converted


def plain_rows(table: pd.DataFrame, row_type: type) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table with the columns of a dataclass; missing values are None."""
    for batch in pa.Table.from_pandas(table, schema=schema(row_type), preserve_index=False).to_batches(1_000):
        yield from batch.to_pylist()


def read(path: StorePath, **only: str) -> list[dict[str, Any]]:
    """Read the rows of a file.

    Args:
        path: The file.
        only: Values by column: other rows are left out.

    Returns:
        The rows.

    Raises:
        InputError: The file is broken.
    """
    rows: list[dict[str, Any]] = _table(path, **only).to_pylist()
    return rows


def read_table(path: StorePath, row_type: type) -> pd.DataFrame:
    """Read a file as a table with the columns of a dataclass.

    Columns that an older file lacks are filled with missing values, and other columns are dropped.

    Raises:
        InputError: The file is broken.
    """
    table: pd.DataFrame = _table(path).to_pandas()
    return table.reindex(columns=schema(row_type).names)


def read_if_sound(path: StorePath, **only: str) -> list[dict[str, Any]]:
    """Read the rows of a file; return no rows if the file is missing or broken. A broken one is named in a
    warning.

    Files are written atomically, so a broken one comes from a failing disk or an interrupted copy.

    Args:
        path: The file.
        only: As for :func:`read`.

    Returns:
        The rows.

    Raises:
        InputError: The file exists and cannot be read now, as without permission.
    """
    try:
        return read(path, **only)
    except MissingFile:
        return []
    except BrokenFile as error:
        logging.getLogger(__name__).warning("%s; it counts as missing", error)
        return []


def _arrow(rows: Iterable[Any], row_type: type | None) -> pa.Table:
    plain = [asdict(row) if is_dataclass(row) and not isinstance(row, type) else row for row in rows]
    return pa.Table.from_pylist(plain, schema=schema(row_type) if row_type else None)


def _table(path: StorePath, **only: str) -> pa.Table:
    """Read a file and verify the checksums of its pages, which files of older versions lack."""
    filters = [(name, "=", value) for name, value in only.items()]
    try:
        stream = path.open("rb")
    except IsADirectoryError as error:
        raise BrokenFile(f"{path}: a folder, not a Parquet file") from error
    except FileNotFoundError as error:
        raise MissingFile(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    with stream:
        try:
            if filters:
                return pq.read_table(stream, filters=filters, page_checksum_verification=True)
            content = pa.BufferReader(stream.read())
            return pq.ParquetFile(content, page_checksum_verification=True).read(use_threads=False)
        except (pa.ArrowException, OSError) as error:
            reason = " ".join(str(error).split())
            raise BrokenFile(f"{path}: not a readable Parquet file ({reason})") from error


def _write_table(path: StorePath, table: pa.Table) -> None:
    """Write a file. A file of few rows has neither dictionaries nor statistics: they would be most of it."""
    few = table.num_rows < FEW_ROWS
    with write_stream(path) as stream:
        pq.write_table(
            table.replace_schema_metadata(None),
            stream,
            write_page_checksum=True,
            use_dictionary=not few,
            write_statistics=not few,
            row_group_size=ROW_GROUP,
        )
