"""Several trials on one GPU. The GPUs are simulated: Ray counts them, and PyTorch sees none."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import switchbench

pytestmark = [pytest.mark.slow, pytest.mark.cluster]  # test_worker.py has a GPU that is not there
TRIALS = 8
PLUGIN = """
import os, time
from pathlib import Path
from switchbench import datasets

@datasets.register("meeting")
def meeting(folder):
    \"\"\"Digits, once eight trials have arrived.\"\"\"
    if "CUDA_VISIBLE_DEVICES" not in os.environ:
        return datasets.load("digits")  # the driver looks at the data as well
    place = Path(os.environ["MEETING"])
    (place / str(os.getpid())).write_text(os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    deadline = time.monotonic() + 300
    while len(list(place.iterdir())) < 8:
        if time.monotonic() > deadline:
            raise RuntimeError("not eight trials at once")
        time.sleep(0.1)
    return datasets.load("digits")
"""


def test_eight_trials_share_four_gpus_evenly(tmp_path: Path, spec: dict[str, Any], monkeypatch: Any) -> None:
    from ray.cluster_utils import Cluster

    (tmp_path / "meeting").mkdir()
    (tmp_path / "plugin.py").write_text(PLUGIN)
    monkeypatch.setenv("MEETING", str(tmp_path / "meeting"))
    head = {"num_cpus": TRIALS, "num_gpus": 4, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args=head)
    try:
        spec |= {
            "methods": ["dense"], "seeds": TRIALS, "datasets": ["meeting"], "resources": {"gpus": 0.5},
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
    assert devices == {"0": 2, "1": 2, "2": 2, "3": 2}
    assert set(results["status"]) == {"failed"}
    assert set(results["error"]) == {
        "RuntimeError: gpus: 0.5 requested, but PyTorch finds none on this node "
        f"(CUDA_VISIBLE_DEVICES: {device}) (worker.py:{line})"
        for device in range(4)
        for line in {text.rpartition(":")[2].rstrip(")") for text in results["error"]}
    }
