"""Real processes on the loopback that train one model together."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).parent / "scripts" / "worker.py"
OPTIONS = ("--epochs", "2", "--class-weights", "balanced")
PATIENCE = 400  # seconds; a hanging worker must not hang the tests

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Six classes of 6 to 11, so that their weights matter."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("photos")
    for i in range(6):
        (root / f"class{i}").mkdir()
        for j in range(6 + i):
            pixels = rng.normal(40 * i, 40, (64, 64, 3)).clip(0, 255)
            image = Image.fromarray(pixels.astype("uint8"))
            image.save(root / f"class{i}" / f"{j}.jpg")
    return root


def free_address():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


def start(photos, folder, count, *options):
    """Starts the workers; their output goes to folder/worker-N.log."""
    folder.mkdir(exist_ok=True)
    addresses = [free_address() for _ in range(count)]
    processes = []
    for worker in range(count):
        environment = {**os.environ, "MAMC_KERAS_CACHE": str(folder / "cache")}
        if count > 1:
            environment["TF_CONFIG"] = json.dumps(
                {
                    "cluster": {"worker": addresses},
                    "task": {"type": "worker", "index": worker},
                }
            )
        log = folder / f"worker-{worker}"
        command = [sys.executable, str(SCRIPT), str(photos)]
        command += [str(folder / "run"), str(log.with_suffix(".npz"))]
        with log.with_suffix(".log").open("w") as stream:
            processes.append(
                subprocess.Popen(
                    [*command, *OPTIONS, *options],
                    env=environment,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                )
            )
    return processes


def finish(processes, folder):
    """Waits for the end of all; returns exit codes and logs."""
    try:
        codes = [process.wait(PATIENCE) for process in processes]
    finally:
        for process in processes:
            process.kill()
    logs = [
        (folder / f"worker-{i}.log").read_text() for i in range(len(processes))
    ]
    return codes, logs


def assert_all_hold(folder, count, expected):
    first = dict(np.load(folder / "worker-0.npz"))
    assert sorted(first) == sorted(expected)
    for worker in range(count):
        with np.load(folder / f"worker-{worker}.npz") as arrays:
            assert sorted(arrays) == sorted(expected)
            for name in arrays:
                np.testing.assert_array_equal(arrays[name], first[name])
                # Gradients' running means are larger than the weights.
                size = max(1, np.abs(expected[name]).max(initial=0))
                np.testing.assert_allclose(
                    arrays[name], expected[name], rtol=1e-5, atol=2e-6 * size
                )


@pytest.fixture(scope="module")
def alone(photos, tmp_path_factory):
    """What one process holds in the end."""
    folder = tmp_path_factory.mktemp("alone")
    codes, logs = finish(start(photos, folder, 1), folder)
    assert codes == [0], logs
    with np.load(folder / "worker-0.npz") as arrays:
        return dict(arrays), (folder / "run" / "history.csv").read_text()


def test_workers_are_one_process(photos, alone, tmp_path):
    count = 4
    arrays, history = alone
    codes, logs = finish(start(photos, tmp_path, count), tmp_path)
    assert codes == [0] * count, logs
    assert_all_hold(tmp_path, count, arrays)
    run = tmp_path / "run"
    rows, expected = (
        np.array([line.split(",") for line in text.splitlines()[1:]], float)
        for text in ((run / "history.csv").read_text(), history)
    )
    np.testing.assert_allclose(rows, expected, atol=1e-5)
    assert (run / "preset" / "labels.txt").exists()
    assert not list(run.glob(".*"))


def test_devices_of_one_machine_are_one_device(photos, alone, tmp_path):
    arrays, _ = alone
    options = ("--devices", "3")
    codes, logs = finish(start(photos, tmp_path, 1, *options), tmp_path)
    assert codes == [0], logs
    assert_all_hold(tmp_path, 1, arrays)


def test_deterministic_operations_are_there(photos, alone, tmp_path):
    """TensorFlow refuses what it cannot repeat; nothing here is refused."""
    arrays, _ = alone
    options = ("--deterministic",)
    codes, logs = finish(start(photos, tmp_path, 1, *options), tmp_path)
    assert codes == [0], logs
    assert_all_hold(tmp_path, 1, arrays)


def test_a_killed_worker_ends_the_others_and_all_go_on(photos, alone, tmp_path):
    arrays, _ = alone
    options = ("--checkpoint-steps", "1")
    processes = start(photos, tmp_path, 2, *options)
    checkpoints = tmp_path / "run" / "checkpoints"
    until = time.monotonic() + PATIENCE
    while not list(checkpoints.glob("epoch-*")) and time.monotonic() < until:
        assert processes[1].poll() is None
        time.sleep(0.05)
    processes[1].send_signal(signal.SIGKILL)
    codes, logs = finish(processes, tmp_path)
    assert codes == [75, -signal.SIGKILL], logs
    said = " ".join(logs[0].split())
    assert "Worker 0 of 2 lost the others" in said
    assert "again with --resume" in said
    codes, logs = finish(start(photos, tmp_path, 2, *options), tmp_path)
    assert codes == [0, 0], logs
    assert_all_hold(tmp_path, 2, arrays)
