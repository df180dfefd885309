"""Connections to MLflow servers and databases: which one, whether it answers, and the pages of answers."""

import logging
import os
import re
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from switchbench.errors import InputError, without_passwords

URI_VARIABLE = "MLFLOW_TRACKING_URI"
"""MLflow's environment variable, which counts where no URI is given."""
FOLDERS_VARIABLE = "MLFLOW_ALLOW_FILE_STORE"
"""MLflow's environment variable that allows folders in the place of databases."""
OFF = "none"
"""Value of ``--mlflow-uri`` that turns MLflow off."""
LOCK_SECONDS = 5
"""How long to wait for another program that has locked an SQLite database."""
CONNECT_SECONDS = 5
"""How long to wait for the server of a database."""
READ_SECONDS = 120
"""How long to wait for the answer to a request that reads thousands of values."""
PAGE = 1_000
"""Runs or experiments in one answer."""
NO_ANSWER = re.compile(r"host='(.+?)', port=(\d+).*NewConnectionError.*?\[Errno -?\d+\] ([\w ]+)")
"""What requests says of a server that does not answer."""
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
"""Default ports of the databases that MLflow uses through a server."""
TIMEOUT_VARIABLE = "MLFLOW_HTTP_REQUEST_TIMEOUT"
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault(TIMEOUT_VARIABLE, "5")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # a line for each run, with a server
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def resolve(uri: str | None) -> str | None:
    """Return a given URI, or that of the environment; None if there is neither.

    Raises:
        InputError: What was given is not the URI of a server or database. MLflow would take it for a folder,
            and refuse, unless a variable allows it. A variable of the user's other work ends no run.
    """
    if uri and ":/" not in uri and uri not in (OFF, "databricks") and FOLDERS_VARIABLE not in os.environ:
        allowed = f"http://HOST:PORT, sqlite:///FILE, another database, or {OFF}"
        raise InputError(f"--mlflow-uri {uri}: should be {allowed}")
    return uri or os.environ.get(URI_VARIABLE) or None


def is_off(uri: str | None) -> bool:
    """Return whether a URI turns MLflow off.

    >>> is_off("none"), is_off(None)
    (True, False)
    """
    return uri == OFF


def resolve_on(uri: str | None) -> str | None:
    """As :func:`resolve`, where MLflow is needed. Raises InputError if it is turned off."""
    found = resolve(uri)
    if is_off(found):
        raise InputError(f"--mlflow-uri {found}: MLflow is turned off; name a server or database")
    return found


def required(uri: str | None) -> str:
    """Return a given URI, or that of the environment. Raises InputError if there is neither, or it is off."""
    found = resolve_on(uri)
    if found is None:
        raise InputError(f"--mlflow-uri: is required: a server or database (or set {URI_VARIABLE})")
    return found


@contextmanager
def in_words(place: str) -> Iterator[None]:
    """Make whatever MLflow and its stores raise in the block an InputError that names the place."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # of many types
        raise InputError(f"MLflow at {without_passwords(place)}: {one_line(error)}") from error


def connect(uri: str, must_exist: bool = False) -> Any:
    """Return MLflow's client of a server or database, and look early whether a database answers.

    Args:
        uri: The server or database.
        must_exist: Whether a missing SQLite file is an error; if not, MLflow makes it.

    Returns:
        An ``MlflowClient``.

    Raises:
        InputError: The database does not answer, or cannot be used or made.
        Exception: Whatever MLflow raises.
    """
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if uri.startswith("sqlite:"):
        check_sqlite(uri, must_exist)
    else:
        _check_port(uri)
    return MlflowClient(tracking_uri=uri)


def runs_with(client: Any, experiment_id: str, tag: str) -> Iterator[Any]:
    """Yield all runs of an experiment that have a tag."""
    having = f"tags.`{tag}` != ''"
    return pages(
        lambda token: client.search_runs([experiment_id], having, max_results=PAGE, page_token=token)
    )


def pages(search: Callable[[str | None], Any]) -> Iterator[Any]:
    """Yield the entries of all pages of a search, which takes the token of the page."""
    token = None
    while True:
        page = search(token)
        yield from page
        token = page.token
        if not token:
            return


@contextmanager
def patient_reading() -> Iterator[None]:
    """Wait longer for answers during the block: the server has answered before, and reads much now."""
    before = os.environ[TIMEOUT_VARIABLE]
    os.environ[TIMEOUT_VARIABLE] = str(max(READ_SECONDS, int(before)))
    try:
        yield
    finally:
        os.environ[TIMEOUT_VARIABLE] = before


def one_line(error: Exception) -> str:
    """Describe an exception of MLflow in one line, without passwords."""
    if refused := NO_ANSWER.search(str(error)):
        return f"no answer from {refused[1]}:{refused[2]} ({refused[3]})"
    kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
    return without_passwords(f"{kind}{error}".split("\n")[0])


def check_sqlite(uri: str, must_exist: bool = False) -> None:
    """Check at once that MLflow can use or make an SQLite database: MLflow itself retries for minutes.

    Raises:
        InputError: It cannot.
    """
    from sqlalchemy import make_url

    file = make_url(uri).database
    if not file or file == ":memory:":
        return
    path = Path(file).absolute()
    if not path.exists():
        if must_exist:
            raise InputError(f"--mlflow-uri {uri}: no such file: {file}")
        folder = next(parent for parent in path.parents if parent.exists())  # MLflow makes what is missing
        if not (folder.is_dir() and os.access(folder, os.W_OK)):
            raise InputError(f"{file}: cannot be made, because {folder} is no folder that can be written")
        return
    try:
        with closing(sqlite3.connect(file, timeout=LOCK_SECONDS)) as database:
            database.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            problem = "another program has locked this database; try again when that has ended"
            raise InputError(f"{file}: {problem}") from error
        raise InputError(f"{file}: no database that MLflow can use ({error})") from error


def move_artifacts(uri: str, before: str, after: str) -> None:
    """Tell an SQLite database that the folder of its files has moved: MLflow keeps absolute places.

    Args:
        uri: The database.
        before: Where files were, as a URI without a slash at its end.
        after: Where they are.
    """
    from sqlalchemy import make_url

    with closing(sqlite3.connect(str(make_url(uri).database), timeout=LOCK_SECONDS)) as database, database:
        database.execute(
            "UPDATE experiments SET artifact_location = ? WHERE artifact_location = ?", (after, before)
        )
        database.execute(
            "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) "
            "WHERE substr(artifact_uri, 1, ?) = ?",
            (after, len(before) + 1, len(before) + 1, f"{before}/"),
        )


def remove_escaped_folder(uri: str) -> None:
    """Remove the empty folder that MLflow makes of a path whose special characters are escaped in the URI."""
    from sqlalchemy import make_url

    written = uri.removeprefix("sqlite:///")
    if written != uri and written != make_url(uri).database:
        with suppress(OSError):
            os.removedirs(Path(written).parent)


def _check_port(uri: str) -> None:
    """Check that the server of a database listens: MLflow itself retries for minutes. Raises InputError."""
    from sqlalchemy import make_url

    scheme = uri.partition(":")[0].partition("+")[0]
    if scheme not in PORTS:
        return
    url = make_url(uri)
    if not url.host:
        return
    port = url.port or PORTS[scheme]
    try:
        socket.create_connection((url.host, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        reason = f"{url.host}:{port} does not answer: {error.strerror or error}"
        raise InputError(f"MLflow at {without_passwords(uri)}: {reason}") from error
