"""The check of a GPU machine, tried out on the CPU."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def check_gpu(*arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/check_gpu.py"), *arguments],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_gpu_one_clear_sentence():
    done = check_gpu()
    assert done.returncode == 2 and done.stdout == ""
    said = [s for s in done.stderr.splitlines() if "no GPU" in s]
    assert len(said) == 1 and "mamc_keras[gpu]" in said[0]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_table_on_the_cpu():
    done = check_gpu("--cpu")
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in done.stdout.splitlines()
    ]
    assert lines[0] == ["check", "result", "allowed", "verdict"]
    verdicts = {line[0]: line[3] for line in lines[2:]}
    for what in (
        "XLA, no XLA",
        "mixed_bfloat16",
        "mixed_float16",
        "2 devices, one: 3 pairs",
    ):
        assert verdicts[what] == "ok"
    assert float(verdicts["step, float32"]) > 0
    assert float(verdicts["step, float32, XLA"]) > 0


@pytest.mark.slow
def test_what_differs_or_breaks_is_a_failure(monkeypatch):
    import check_gpu as module
    import replicas

    row = replicas.ROWS["3 pairs"]
    longer = module.dataclasses.replace(row, epochs=2)
    assert module.compared("same", row, None, row, 1e-6)[-1] == "ok"
    assert module.compared("other", row, None, longer, 1e-3)[-1] == "FAILED"

    def breaks(*_):
        raise ValueError("Out of | memory.\nAnd more.")

    monkeypatch.setattr(replicas, "train", breaks)
    line = module.compared("broken", row, None, row, 1e-3)
    assert line[1:] == ["ValueError: Out of / memory.", "", "FAILED"]


def test_the_extra_pins_the_same_tensorflow():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (gpu,) = project["optional-dependencies"]["gpu"]
    pinned = (ROOT / "requirements.txt").read_text()
    assert gpu.replace("[and-cuda]", "") in pinned.split()
    assert gpu.startswith("tensorflow[and-cuda]==")
