"""What a newcomer types: the demo, the README's commands, and kills."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


def mamc(*arguments, cwd):
    command = [sys.executable, "-m", "mamc_keras", *arguments]
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_demo(tmp_path):
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    done = subprocess.run(
        [sys.executable, "recipes/demo.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    results = json.loads((tmp_path / "demo/results.json").read_text())
    assert results["top-1, %"] > 70
    keras, int8 = results["top-1, %"], results["top-1 of the int8 .tflite, %"]
    # Four look-alike classes: int8 turns the answer of 3 % of the cells.
    assert abs(keras - int8) < 6
    for line in done.stdout.splitlines():
        if line.startswith("wrote "):
            assert (tmp_path / line.removeprefix("wrote ")).exists(), line


def test_readme_commands(photo_folder, tmp_path):
    shutil.copytree(photo_folder, tmp_path / "photos")
    new = tmp_path / "new-cups" / "yellow_cup"
    shutil.copytree(photo_folder / "red_cup", new)
    text = (ROOT / "README.md").read_text()
    blocks = "".join(re.findall(r"```\n(.*?)```", text, re.S))
    commands = [c for c in blocks.splitlines() if c.startswith("mamc ")]
    assert len(commands) == 16
    for command in commands:
        mamc(*shlex.split(command, comments=True)[1:], cwd=tmp_path)
    assert (tmp_path / "attention.png").exists()


def test_real_photos_with_split_folders(shared, tmp_path):
    source = shared / "data/grocery81"
    small = tmp_path / "grocery"
    for split in ("train", "val", "test"):
        folders = sorted((source / split).iterdir(), key=lambda f: f.name)
        keep = [f for f in folders if f.name in _first_classes(source, 8)]
        for folder in keep:
            shutil.copytree(folder, small / split / folder.name)
    mamc(
        "train",
        "grocery",
        "--run-dir",
        "run",
        "--epochs",
        "4",
        "--cached-views",
        "2",
        cwd=tmp_path,
    )
    mamc("evaluate", "run", cwd=tmp_path)
    measures = json.loads(
        (tmp_path / "run/evaluation-test/metrics.json").read_text()
    )
    assert measures["top1"] > 0.75


def _first_classes(source, count):
    return sorted(f.name for f in (source / "train").iterdir())[:count]


@pytest.mark.parametrize("fast", [True, False])
def test_killed_run_loses_nothing(photo_folder, tmp_path, fast):
    environment = {**os.environ, "MAMC_KERAS_CACHE": str(tmp_path / "cache")}
    command = [
        *(sys.executable, "-m", "mamc_keras", "train", str(photo_folder)),
        *("--run-dir", "run", "--image-size", "64", "64", "--epochs", "500"),
        *("--cached-views", "2", "--embedding-dim", "16"),
        *([] if fast else ["--no-fast"]),
    ]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    history = tmp_path / "run/history.csv"
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        if history.exists() and len(history.read_text().splitlines()) > 4:
            break
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(history.read_text().splitlines()) > 4
    photo = str(photo_folder / "red_cup" / "00.jpg")
    out = mamc("predict", "run", photo, cwd=tmp_path)
    assert "red_cup" in out
    json.loads((tmp_path / "run/recipe.json").read_text())
