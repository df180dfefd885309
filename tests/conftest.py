"""Shared fixtures, and what all tests' processes have in common.

Markers: ``slow`` tests are left out by ``make test`` and run by ``make test-all``; each says beside its mark
what the short suite has in its stead. ``cluster``, ``gpu`` and ``postgresql`` say what a test needs.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

# Two pytest workers share the machine: one thread each, as trials have. Read when torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Trials of two threads would wait for each other by spinning, on cores that the other pytest worker needs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Processors with instructions for bfloat16 round elsewhere than the one that the pins are from: all take the same.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")
os.environ["RAY_AUTH_MODE"] = "disabled"  # Ray writes no token into the home folder

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from pathlib import Path
from typing import Any, Self

import cloudpickle
import pytest
from xdist.scheduler import LoadScopeScheduling

from switchbench.datasets import DATASETS, MissingData, load
from switchbench.methods import METHODS
from switchbench.networks import NETWORKS
from switchbench.registration import is_own
from switchbench.spec.trial import TrialConfig

MakeConfig = Callable[..., TrialConfig]


def make_config(method: Any = "dense", density: float | None = None, **changes: Any) -> TrialConfig:
    """A small trial on digits; methods that take a target get 0.1 unless told otherwise."""
    name = method if isinstance(method, str) else method["method"]
    options = (
        {} if isinstance(method, str) else {k: v for k, v in method.items() if k not in ("method", "label")}
    )
    if density is None and METHODS[name].takes_target(METHODS[name].Config(**options)):
        density = 0.1
    fields: dict[str, Any] = {
        "network": {"network": "mlp", "hidden": [20, 12]},
        "dataset": "digits",
        "method": method,
        "density": density,
        "training": {"steps": 60, "batch_size": 64},
    }
    return TrialConfig.of(**(fields | changes))


@pytest.fixture(name="make_config", scope="session")
def make_config_fixture() -> MakeConfig:
    return make_config


@pytest.fixture
def spec() -> dict[str, Any]:
    """Plain values of a small comparison."""
    return {
        "name": "small",
        "networks": [{"network": "mlp", "label": "mlp-20", "hidden": [20]}],
        "datasets": ["digits"],
        "methods": ["dense", "random", "magnitude"],
        "densities": [0.2, 0.1],
        "seeds": 2,
        "training": {"steps": 20, "batch_size": 64},
    }


@pytest.fixture
def shipped_methods() -> Iterator[None]:
    """Only methods that ship are registered while a test runs: no plug-in of another test, nor of this one after."""
    before = dict(METHODS)
    for name, method in before.items():
        if not is_own(method):
            del METHODS[name]
    yield
    METHODS.clear()
    METHODS.update(before)


@pytest.fixture
def without_plugins() -> Iterator[None]:
    """What a test registers is forgotten after it: methods, networks, data sets, and the modules of plug-ins."""
    registries: tuple[dict[str, Any], ...] = (METHODS, NETWORKS, DATASETS)
    before = [(registry, dict(registry)) for registry in registries]
    modules = {*sys.modules}
    yield
    for registry, entries in before:
        registry.clear()
        registry.update(entries)
    for name in {*sys.modules} - modules:
        if name.startswith("switchbench_plugin_"):
            with suppress(ValueError):  # not every plug-in was sent to workers
                cloudpickle.unregister_pickle_by_value(sys.modules[name])
            del sys.modules[name]


@pytest.fixture(scope="session")
def fashion_mnist() -> Any:
    """The real data set; tests that need it are skipped with a reason where it is not."""
    try:
        return load("fashion-mnist")
    except MissingData as missing:
        pytest.skip(str(missing))


class ByWork(LoadScopeScheduling):
    """Each pytest worker takes the next test when it is free; tests that share something costly go to one of
    them together. Large groups come first. (``--dist=loadgroup`` would do, but pytest-xdist 3.8 finds no groups
    in pytest 9.2.)"""

    ON_RAY = ("test_run.py", "test_tuning.py", "test_faults.py")
    """They share a Ray cluster, and some of their tests a comparison or search, in turn."""
    MODULES = ("test_export.py",)
    """Its tests look at one comparison."""
    CHECKS = re.compile(r".*::test_keeps_the_contract\w*\[.*-")
    """The checks of a method share its first run."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.split("::")[0]
        if module.endswith(self.ON_RAY):
            return "Ray"
        checks = self.CHECKS.match(nodeid)
        return module if module.endswith(self.MODULES) else checks[0] if checks else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByWork:
    return ByWork(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on Ray come first: at the end of a run a long test is waited for."""
    for item in items:
        if "ray_cluster" in getattr(item, "fixturenames", ()):
            item.add_marker("cluster")
    items.sort(key=lambda item: item.get_closest_marker("cluster") is None)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[str]:
    """Address of a Ray cluster of this machine's size. It is started once per pytest worker and ends with it."""
    from ray.cluster_utils import Cluster

    from switchbench.cluster.address import OBJECT_STORE_BYTES

    head = {"num_cpus": os.cpu_count(), "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    nodes = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield nodes.address
    finally:
        nodes.shutdown()


@contextmanager
def _in_this_process() -> Iterator[None]:
    """Comparisons and searches run here, one trial after the other."""
    from switchbench.cluster import connection, tune
    from switchbench.cluster.worker import execute, execute_point
    from switchbench.compare import run

    def distribute(configs: Any, job: Any, observers: Any) -> None:
        for config in configs:
            row = execute(config, job)
            for observer in observers:
                observer.trial_finished(row)

    def distribute_points(
        source: Any, job: Any, observers: Any, modules: Any = (), parallel: Any = None
    ) -> None:
        while point := source.ask():
            for observer in observers:
                observer.trials_running(1)
            source.tell(point, execute_point(point.trials, job, lambda seed: None))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "cluster", lambda *arguments: nullcontext())
        patch.setattr(run, "workers", lambda *arguments: nullcontext(distribute))
        patch.setattr(tune, "distribute_points", distribute_points)
        yield


@pytest.fixture
def without_ray() -> Iterator[None]:
    """For tests that look at results and not at how they were distributed."""
    with _in_this_process():
        yield


class _NoDrawing:
    """Stands for the process that draws figures."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def draw(self, *order: object) -> None:
        pass

    def wait(self) -> None:
        pass


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Make the tables of MLflow in an SQLite file, once: that takes seconds."""

    @cache
    def make() -> Path:
        from mlflow import MlflowClient

        file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
        MlflowClient(f"sqlite:///{file}").search_experiments()
        return file

    return make


@pytest.fixture(autouse=True)
def copied_mlflow_databases(
    monkeypatch: pytest.MonkeyPatch, mlflow_database: Callable[[], Path]
) -> Callable[..., None]:
    """New databases of MLflow are copies of one. Returns the check that they replace."""
    from sqlalchemy import make_url

    from switchbench.observe import mlflow_client

    check = mlflow_client.check_sqlite

    def check_and_copy(uri: str, must_exist: bool = False) -> None:
        check(uri, must_exist)
        file = make_url(uri).database
        if file and file != ":memory:" and not Path(file).exists():
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(mlflow_database(), file)

    monkeypatch.setattr(mlflow_client, "check_sqlite", check_and_copy)
    return check


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that look at no figure: they take most of the time of a report, in a process of their own."""
    from switchbench.compare import report, run

    for module in (report, run):
        monkeypatch.setattr(module, "DrawingProcess", _NoDrawing)


@pytest.fixture(scope="module")
def module_without_ray() -> Iterator[None]:
    """The same for all tests of a module."""
    with _in_this_process():
        yield


@pytest.fixture(scope="module")
def on_shared_ray(ray_cluster: str) -> Iterator[None]:
    """Comparisons and searches of a module run on the shared cluster, unless they say ``address="local"``, as
    those have to that kill a worker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", ray_cluster)
        yield


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a real server, started for these tests."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    binaries = found[-1].parent if found else None
    if not binaries and (on_path := shutil.which("initdb")):
        binaries = Path(on_path).parent
    if not binaries:
        pytest.skip("no PostgreSQL server is installed")
    folder = tmp_path_factory.mktemp("postgres")
    user: list[str] = []
    if os.getuid() == 0:  # the server refuses to be run by root
        user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        for path in (folder, *folder.parents):
            if path.is_relative_to("/tmp") and path != Path("/tmp"):
                path.chmod(0o755)
        shutil.chown(folder, "nobody", "nogroup")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    initdb = [*user, str(binaries / "initdb"), "-D", str(data), "-U", "tester", "--auth=trust"]
    subprocess.run(initdb, check=True, capture_output=True)
    server = subprocess.Popen(
        [
            *user,
            str(binaries / "postgres"),
            "-D",
            str(data),
            "-p",
            str(port),
            "-k",
            str(folder),
            "-h",
            "127.0.0.1",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while subprocess.run(
            [str(binaries / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)], capture_output=True
        ).returncode:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield f"postgresql+psycopg2://tester@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)
