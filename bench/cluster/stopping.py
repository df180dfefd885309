"""How the driver tells the workers that a run must stop: through the key-value store of Ray's head."""

import threading
import time
from contextlib import suppress

from ray.experimental import internal_kv

POLL_SECONDS = 1.0
"""Time between two looks of a worker."""
NAMESPACE = b"switchbench"


def tell_workers(run: str) -> None:
    """Ask all workers of a run to stop. Do nothing if the cluster does not answer."""
    with suppress(Exception):  # Ray raises its own types
        internal_kv._internal_kv_put(run.encode(), b"stop", namespace=NAMESPACE)


class StopWatch(threading.Thread):
    """Thread of a worker that learns whether its run must stop. Each :meth:`stop` is then one comparison."""

    def __init__(self, run: str) -> None:
        super().__init__(name="stop-watch", daemon=True)
        self._run = run.encode()
        self._stopped = threading.Event()

    def stop(self) -> bool:
        """Return whether the run must stop."""
        return self._stopped.is_set()

    def run(self) -> None:
        """Look again and again. If the cluster does not answer, the trial goes on."""
        while not self._stopped.is_set():
            with suppress(Exception):  # Ray raises its own types; the cluster may answer the next time
                if internal_kv._internal_kv_get(self._run, namespace=NAMESPACE):
                    self._stopped.set()
            time.sleep(POLL_SECONDS)
