"""Several trials on one GPU. The GPUs are simulated: Ray counts them, and PyTorch sees none. On a real GPU:
test_gpu.py."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import switchbench

pytestmark = [pytest.mark.slow, pytest.mark.cluster]  # test_worker.py has a GPU that is not there
PLUGIN = """
import os, time
from pathlib import Path
from switchbench import datasets

@datasets.register("meeting")
def meeting(folder):
    \"\"\"Digits, once all trials have arrived.\"\"\"
    if "CUDA_VISIBLE_DEVICES" not in os.environ:
        return datasets.load("digits")  # the driver looks at the data as well
    place = Path(os.environ["MEETING"])
    (place / str(os.getpid())).write_text(os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    deadline = time.monotonic() + 300
    while len(list(place.iterdir())) < int(os.environ["TRIALS"]):
        if time.monotonic() > deadline:
            raise RuntimeError("not all trials at once")
        time.sleep(0.1)
    return datasets.load("digits")
"""


@pytest.mark.parametrize(("gpus", "share"), [(4, 0.5), (1, 0.25)])
def test_trials_share_gpus_evenly(
    gpus: int, share: float, tmp_path: Path, spec: dict[str, Any], monkeypatch: Any
) -> None:
    from ray.cluster_utils import Cluster

    trials = round(gpus / share)
    (tmp_path / "meeting").mkdir()
    (tmp_path / "plugin.py").write_text(PLUGIN)
    monkeypatch.setenv("MEETING", str(tmp_path / "meeting"))
    monkeypatch.setenv("TRIALS", str(trials))
    head = {"num_cpus": trials, "num_gpus": gpus, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args=head)
    try:
        spec |= {
            "methods": ["dense"], "seeds": trials, "datasets": ["meeting"], "resources": {"gpus": share},
        }  # fmt: skip
        results = switchbench.run(
            spec,
            tmp_path / "out",
            address=nodes.address,
            mlflow_uri="none",
            plugin_files=[tmp_path / "plugin.py"],
        )
    finally:
        nodes.shutdown()
    devices = Counter(file.read_text() for file in (tmp_path / "meeting").iterdir())
    assert devices == {str(number): round(1 / share) for number in range(gpus)}
    assert set(results["status"]) == {"failed"}
    assert set(results["error"]) == {
        f"RuntimeError: gpus: {share} requested, but PyTorch finds none on this node "
        f"(CUDA_VISIBLE_DEVICES: {device}) (worker.py:{line})"
        for device in range(gpus)
        for line in {text.rpartition(":")[2].rstrip(")") for text in results["error"]}
    }
