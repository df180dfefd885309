"""Files for clusters: they are valid, agree with each other, and name options that there are."""

import json
import re
import shlex
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML

from switchbench.cli.app import app

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
FIRST_IMAGE = (ROOT / "Dockerfile").read_text()
"""The image with which one tries switchbench."""
LAUNCHER_TEXT = (DEPLOY / "ray-cluster.yaml").read_text()
PAGE = (ROOT / "docs" / "cluster.md").read_text()
LAUNCHER: dict[str, Any] = YAML(typ="safe").load(LAUNCHER_TEXT)
JOB_TEXT = (DEPLOY / "kubernetes" / "rayjob.yaml").read_text()
JOB: dict[str, Any] = YAML(typ="safe").load(JOB_TEXT)


def commands(text: str, program: str) -> list[str]:
    """Commands of a program in a text: at the start of a line, of a comment, after ``--`` or in quotes."""
    joined = re.sub(r"\\\n#?\s*", "", text)
    found = re.findall(rf"(?:^#? *|-- |'|: |&& |exec ){program} [^\n'#&|>]*", joined, re.MULTILINE)
    return [command[command.index(program) :].strip() for command in found]


def parse(command: str) -> None:
    """Parse a command of switchbench without running it. Raises what typer raises for a wrong one."""
    _, *words = shlex.split(command)
    inner: Any = typer.main.get_command(app)
    while hasattr(inner, "commands"):
        name, *words = words
        inner = inner.commands[name]
    inner.make_context(name, words)


SOURCES = {
    "rayjob.yaml": JOB_TEXT.replace("command: [switchbench, data, fetch, fashion-mnist]", ""),
    "ray-cluster.yaml": LAUNCHER_TEXT,
    "cluster.md": PAGE,
}


@pytest.mark.parametrize("source", SOURCES)
def test_commands_of_switchbench_parse(source: str) -> None:
    found = commands(SOURCES[source], "switchbench")
    assert any(command.startswith("switchbench run ") for command in found)
    for command in found:
        parse(command)


def test_a_wrong_command_does_not_parse() -> None:
    (found,) = commands(
        "#   ray job submit -- switchbench run mine.yaml \\\n#     --adress auto\n", "switchbench"
    )
    assert found == "switchbench run mine.yaml --adress auto"
    with pytest.raises(Exception, match="No such option: --adress"):
        parse(found)


def test_options_of_ray_start() -> None:
    from ray.scripts.scripts import start

    known = {option for parameter in start.params for option in parameter.opts}
    script = resources.files("switchbench.cli").joinpath("slurm.sh").read_text()
    page = " ".join(commands(PAGE, "ray start"))
    started = [
        *LAUNCHER["head_start_ray_commands"],
        *LAUNCHER["worker_start_ray_commands"],
        *re.findall(r"exec ray start.*?>/dev/null|^node --head.*$", script, re.DOTALL | re.MULTILINE),
        page,
    ]
    groups = (
        JOB["spec"]["rayClusterSpec"]["headGroupSpec"],
        *JOB["spec"]["rayClusterSpec"]["workerGroupSpecs"],
    )
    options = {option for command in started for option in re.findall(r" (--[a-z-]+)", command)}
    options |= {f"--{name}" for group in groups for name in group["rayStartParams"]}
    assert len(options) > 8
    assert options <= known


def test_one_image_and_one_ray() -> None:
    texts = [DOCKERFILE, LAUNCHER_TEXT, JOB_TEXT, PAGE]
    images = {image for text in texts for image in re.findall(r"registry\.example\.com/\S+", text)}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert images == {f"registry.example.com/switchbench:{version}"}
    (ray,) = re.findall(r"^ARG RAY=(.*)$", DOCKERFILE, re.MULTILINE)
    assert {JOB["spec"]["rayClusterSpec"]["rayVersion"]} == {ray}
    assert {found for text in texts for found in re.findall(r"ray\[[a-z,]+\]==([\d.]+)", text)} == {ray}


def test_the_job_of_kubernetes() -> None:
    """What KubeRay's own schema and operator ask for, as far as it is known without them."""
    assert (JOB["apiVersion"], JOB["kind"]) == ("ray.io/v1", "RayJob")
    spec = JOB["spec"]
    cluster = spec["rayClusterSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    assert spec["shutdownAfterJobFinishes"]  # else ttlSecondsAfterFinished is refused
    assert spec["backoffLimit"] > 0
    assert cluster["authOptions"] == {"mode": "token"}
    assert workers["minReplicas"] == workers["replicas"] == workers["maxReplicas"] > 0
    for group in (cluster["headGroupSpec"], workers):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["restartPolicy"] == "Never"
        assert pod["securityContext"]["runAsNonRoot"]
        assert container["envFrom"] == [{"secretRef": {"name": "switchbench-store"}}]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted <= {volume["name"] for volume in pod["volumes"]}
        (fetch,) = pod["initContainers"]
        parse(shlex.join(fetch["command"]))
    assert set(workers["template"]["spec"]["containers"][0]["resources"]["limits"]) >= {
        "cpu",
        "memory",
        "nvidia.com/gpu",
    }


def test_the_cluster_of_rays_launcher() -> None:
    """Ray checks it against its schema."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(LAUNCHER))
    with pytest.raises(Exception, match="'head_node_typ' was unexpected"):
        validate_config(LAUNCHER | {"head_node_typ": "head"})
    assert LAUNCHER["available_node_types"]["gpu"]["min_workers"] > 0


@pytest.mark.parametrize("dockerfile", [DOCKERFILE, FIRST_IMAGE], ids=["cluster", "first"])
def test_the_image_copies_what_is_there_and_all_of_the_code(dockerfile: str) -> None:
    copied = [line.split()[1:-1] for line in dockerfile.splitlines() if line.startswith("COPY ")]
    sources = {source for line in copied for source in line}
    assert [source for source in sources if not (ROOT / source).exists()] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = {folder.split("/")[0] for folder in project["tool"]["setuptools"]["package-dir"].values()}
    files = {project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml"}
    assert sources == folders | files
    assert dockerfile.index("\nUSER ") > dockerfile.rindex("RUN ")  # not root


def test_the_first_image_runs_the_quickstart() -> None:
    (line,) = (line for line in FIRST_IMAGE.splitlines() if line.startswith("CMD "))
    assert json.loads(line.removeprefix("CMD ")) == ["switchbench", "run", "quickstart"]


def test_the_image_can_be_the_head_of_rays_launcher() -> None:
    """The head starts workers itself: at AWS with boto3, and over ssh."""
    assert LAUNCHER["provider"]["type"] == "aws"
    (system,) = re.findall(r"apt-get install .*?recommends (.*?) \\", DOCKERFILE)
    assert {"openssh-client", "rsync"} <= set(system.split())
    (python,) = re.findall(r"pip install --requirement requirements.txt (.*)", DOCKERFILE)
    assert "boto3" in python.split()
