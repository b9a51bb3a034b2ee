"""How fast and how large are the plans? Batches of 16 classes x 2 images.

Every run is a process of its own, so that its peak memory is its own: what
came on top of the array of labels, over a whole epoch. The first batch is
timed from the labels, the rate over the epoch that follows. Other work on
the machine slows a run, so each size runs several times and the table shows
the median and, of the times, the range. One CSV row a run.

Run: python benchmarks/planner.py [--repeats 3] [--name plain]
"""

import argparse
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from memory import peak_mb
from results import append_row
from results import read_rows

from mamc_keras.data.n_pairs import NPairPlan

RESULTS = Path(__file__).parent / "results" / "planner.csv"
SIZES = ((6_000, 200), (300_000, 10_000), (1_000_000, 1_000))
SIZES += ((10_000_000, 10_000), (10_000_000, 1_000_000))


def measure(name, images, classes):
    """Plans one epoch and returns a row of numbers."""
    labels = np.random.default_rng(0).integers(classes, size=images)
    before = peak_mb()
    start = time.perf_counter()
    plan = NPairPlan(labels, 16, 2)
    batches = plan.iter_batches(0)
    next(batches)
    first = time.perf_counter()
    for _ in batches:
        pass
    end = time.perf_counter()
    return {
        "planner": name,
        "images": images,
        "classes": classes,
        "steps": plan.steps_per_epoch,
        "seconds_to_first_batch": round(first - start, 3),
        "batches_per_second": round(plan.steps_per_epoch / (end - start)),
        "peak_mb": round(peak_mb() - before),
        "machine": f"{platform.machine()}, numpy {np.__version__}",
    }


def show():
    """Prints the medians of all runs so far."""
    runs = {}
    for row in read_rows(RESULTS):
        key = (row["planner"], int(row["images"]), int(row["classes"]))
        runs.setdefault(key, []).append(row)
    print("| planner | images | classes | first batch, s | batches/s | MB |")
    print("|---|---|---|---|---|---|")
    for (name, images, classes), rows in runs.items():
        seconds = [float(row["seconds_to_first_batch"]) for row in rows]
        rates = [int(row["batches_per_second"]) for row in rows]
        print(
            f"| {name} | {images:,} | {classes:,} "
            f"| {statistics.median(seconds):.2f} "
            f"({min(seconds):.2f} to {max(seconds):.2f}) "
            f"| {statistics.median(rates):,.0f} "
            f"({min(rates):,} to {max(rates):,}) "
            f"| {max(int(row['peak_mb']) for row in rows)} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--name", default="plain")
    parser.add_argument("--size", type=int, nargs=2, help="one run of it")
    options = parser.parse_args()
    if options.size:
        append_row(RESULTS, measure(options.name, *options.size))
        return
    for _ in range(options.repeats):
        for size in SIZES:
            command = [sys.executable, __file__, "--name", options.name]
            subprocess.run([*command, "--size", *map(str, size)], check=True)
    show()


if __name__ == "__main__":
    main()
