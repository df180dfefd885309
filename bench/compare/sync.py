"""Send the rows of a comparison that MLflow lacks."""

from pathlib import Path

from switchbench.errors import InputError, without_passwords
from switchbench.observe import mlflow
from switchbench.observe.mlflow_client import is_off, one_line, resolve
from switchbench.store.ledger import Ledger
from switchbench.store.search import ledgers_of


def sync(folder: str | Path, mlflow_uri: str | None = None) -> int:
    """Send the rows of a comparison, and of the search before it, that MLflow lacks.

    Args:
        folder: Folder of the comparison.
        mlflow_uri: MLflow server or database; None: ``$MLFLOW_TRACKING_URI``, or a sqlite file in the folder.

    Returns:
        The number of rows sent.

    Raises:
        InputError: MLflow is turned off, or MLflow fails.
    """
    mlflow_uri = resolve(mlflow_uri)
    if is_off(mlflow_uri):
        raise InputError(f"--mlflow-uri {mlflow_uri}: MLflow is turned off; name a server or database")
    ledger = Ledger(folder)
    ledgers = ledgers_of(ledger)
    uri = mlflow_uri or (ledger.mlflow_uri if len(ledgers) > 1 else None)
    try:
        return sum(mlflow.sync(each, [*each.rows()], uri) for each in ledgers)
    except InputError:
        raise
    except Exception as error:  # MLflow and its stores raise many types
        place = without_passwords(str(mlflow_uri or ledger.mlflow_uri))
        raise InputError(f"MLflow at {place}: {one_line(error)}") from error
