"""The files for Slurm and Kubernetes give each worker its place.

Both are run in bash with stand-ins for what a cluster has: the commands
`scontrol`, `srun` and `python`, the last of which only says its TF_CONFIG.
"""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from mamc_keras.workers import Cluster
from mamc_keras.workers import cluster

FILES = Path(__file__).parents[1] / "docs" / "cluster"


@pytest.fixture
def stand_ins(tmp_path):
    commands = {
        "python": 'echo "$TF_CONFIG" > "$SAID"; echo "$@"; exit ${CODE:-0}',
        "scontrol": (
            '[ $1 = requeue ] && echo again || printf "node1\\nnode2\\n"'
        ),
        "srun": 'shift; "$@"',
    }
    for name, body in commands.items():
        file = tmp_path / name
        file.write_text(f"#!/bin/bash\n{body}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def run(stand_ins, command, monkeypatch, **environment):
    """Runs a command; returns its place in the cluster, and its output."""
    said = stand_ins / "said"
    path = f"{stand_ins}:{os.environ['PATH']}"
    done = subprocess.run(
        command,
        env={**os.environ, "PATH": path, "SAID": str(said), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == int(environment.get("CODE", 0)), done.stderr
    monkeypatch.setenv("TF_CONFIG", said.read_text())
    return cluster(), done.stdout


@pytest.mark.parametrize("worker", [0, 1])
def test_slurm(stand_ins, worker, monkeypatch):
    file = str(FILES / "slurm.sbatch")
    place, said = run(
        stand_ins,
        ["bash", file, "/my photos", "runs/birds"],
        monkeypatch,
        SLURM_JOB_NODELIST="node[1-2]",
        SLURM_NODEID=str(worker),
        SLURM_JOB_ID="7",
    )
    assert place == Cluster(worker, 2)
    command = "-m mamc_keras train /my photos --run-dir runs/birds --resume"
    assert said.strip() == command


@pytest.mark.parametrize("code", ["2", "75", "137", "143"])
def test_slurm_queues_again_what_may_succeed(stand_ins, code, monkeypatch):
    _, said = run(
        stand_ins,
        ["bash", str(FILES / "slurm.sbatch"), "photos", "runs/birds"],
        monkeypatch,
        SLURM_JOB_NODELIST="node[1-2]",
        SLURM_NODEID="0",
        SLURM_JOB_ID="7",
        CODE=code,
    )
    assert ("again" in said.split()) == (code != "2")


@pytest.mark.parametrize("worker", [0, 1])
def test_kubernetes(stand_ins, worker, monkeypatch):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    service, job = yaml.safe_load_all((FILES / "kubernetes.yaml").read_text())
    pod = job["spec"]["template"]["spec"]
    assert pod["subdomain"] == service["metadata"]["name"] == "mamc"
    (container,) = pod["containers"]
    count = next(e["value"] for e in container["env"] if e["name"] == "WORKERS")
    assert int(count) == job["spec"]["completions"] == 2
    place, said = run(
        stand_ins,
        [*container["command"], *container["args"]],
        monkeypatch,
        WORKERS=count,
        JOB_COMPLETION_INDEX=str(worker),
    )
    assert place == Cluster(worker, 2)
    assert said.endswith("--run-dir /data/runs/birds --resume\n")
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}
