"""Send the rows of a comparison that MLflow lacks."""

from pathlib import Path

from switchbench.observe import mlflow
from switchbench.observe.mlflow_client import in_words, resolve_on
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
    mlflow_uri = resolve_on(mlflow_uri)
    ledger = Ledger(folder)
    with in_words(str(mlflow_uri or ledger.mlflow_uri)):
        return sum(mlflow.sync(each, [*each.rows()], mlflow_uri, ledger) for each in ledgers_of(ledger))
