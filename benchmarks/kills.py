"""Is a run that is killed again and again the run that nobody killed?

Trains once in peace, then once more in processes that get SIGKILL at random
moments and are started again with the same command, as a scheduler would.
Afterwards weights, history and best epoch of the two runs are compared. One
row a kill, and what it hit, goes to the CSV; the last row is the comparison.

Run: python benchmarks/kills.py FOLDER [--kills 20] [--seed 0]
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
from results import append_row

RESULTS = Path(__file__).parent / "results" / "kills.csv"
OPTIONS = (
    *("--image-size", "64", "64"),
    *("--embedding-dim", "64"),
    *("--classes-per-batch", "3"),
    *("--epochs", "8"),
    *("--checkpoint-steps", "1"),
)
LONGEST = 3.0  # Seconds of training before a kill, at most.


def command(folder, run, options):
    return [
        *(sys.executable, "-m", "mamc_keras", "train", str(folder)),
        *("--run-dir", str(run), "--resume", *options),
    ]


def signs(run):
    """What the disk shows of a run's progress."""
    files = [*run.glob("checkpoints/epoch-*"), run / "preset"]
    return {(f.name, f.stat().st_mtime_ns) for f in files if f.exists()}


def newest(run):
    """Name of the newest checkpoint."""
    return max((f.stem for f in run.glob("checkpoints/epoch-*")), default="")


def hit(run):
    """What the killed process was doing, by what it left."""
    if [*run.glob("checkpoints/.epoch-*")]:
        return "writing a checkpoint"
    if [*run.glob(".preset.*")]:
        return "writing the preset"
    if [*run.glob(".*")]:
        return "writing another file"
    steps = re.search(r"(\d+) steps an epoch", (run / "data.txt").read_text())
    if newest(run).endswith(f"step-{int(steps[1]) - 1:08d}"):
        return "at the end of an epoch: last step, validation"
    return "at a step"


def kill_once(start, run, delay):
    """Starts the run and kills it `delay` seconds after its first sign.

    Returns:
        bool. `False` when it ended by itself.
    """
    before = signs(run)
    process = subprocess.Popen(
        start, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        while process.poll() is None:
            try:
                moved = signs(run) != before
            except FileNotFoundError:  # Replaced while we looked.
                moved = True
            if moved:
                process.wait(delay)
            time.sleep(0.02)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()  # Waits, and closes the pipe.
        return True
    said = process.communicate()[1]
    if process.returncode:
        raise RuntimeError(said[-2000:])
    return False


def largest_difference(one, other):
    """The largest difference between the weights of two presets."""
    largest = 0.0
    for name in ("model.weights.h5", "task.weights.h5"):
        with h5py.File(one / name) as a, h5py.File(other / name) as b:
            names = []
            a.visit(names.append)
            for key in names:
                if isinstance(a[key], h5py.Dataset) and a[key].size:
                    change = np.abs(a[key][...] - b[key][...]).max()
                    largest = max(largest, float(change))
    return largest


def measure(folder, kills, seed, work, options=OPTIONS):
    """Yields a row a kill and one for the comparison."""
    whole, killed = work / "whole", work / "killed"
    subprocess.run(
        command(folder, whole, options), check=True, capture_output=True
    )
    rng = np.random.default_rng(seed)
    start = command(folder, killed, options)
    for kill in range(1, kills + 1):
        delay = float(rng.uniform(0, LONGEST))
        if not kill_once(start, killed, delay):
            break
        yield {
            "kill": kill,
            "delay_seconds": f"{delay:.2f}",
            "hit": hit(killed),
            "newest_checkpoint": newest(killed),
            "largest_weight_difference": "",
            "same_history": "",
        }
    subprocess.run(start, check=True, capture_output=True)
    histories = [(run / "history.csv").read_text() for run in (whole, killed)]
    yield {
        "kill": "end",
        "delay_seconds": "",
        "hit": "",
        "newest_checkpoint": "",
        "largest_weight_difference": largest_difference(
            whole / "preset", killed / "preset"
        ),
        "same_history": histories[0] == histories[1],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", type=Path, default=RESULTS)
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp())
    os.environ.setdefault("MAMC_KERAS_CACHE", str(work / "cache"))
    options.csv.unlink(missing_ok=True)
    try:
        for row in measure(options.folder, options.kills, options.seed, work):
            append_row(options.csv, row)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
