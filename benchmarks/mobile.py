"""Every variant of the .tflite file, beside Keras and a plain classifier.

Takes the run folders that benchmarks/ablation.py left (SET-ARM-SEED): exports
all five variants of each, and compares them with Keras on the whole test
split. With --costs it measures instead what one run costs on this machine:
size, latency and memory, in turns with a second run, the plain classifier, so
that a drift of the machine meets both. Only the files that RUN/export has;
`mamc export` writes them. Resumable; one CSV row a file.

Run: python benchmarks/mobile.py RUN...              (results/mobile.csv)
     python benchmarks/mobile.py --costs RUN PLAIN   (results/mobile_costs.csv)
"""

import argparse
import os
import statistics
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow leaves oneDNN off on CPUs without AVX-512; it is faster there too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
from results import append_row
from results import is_done

from mamc_keras.export.benchmark import MEASURES
from mamc_keras.export.benchmark import benchmark
from mamc_keras.export.export import export
from mamc_keras.export.variants import VARIANTS

RESULTS = Path(__file__).parent / "results"
PARITY = (
    *("images", "accuracy_keras", "accuracy_tflite", "agreement"),
    *("max_difference", "ece_keras", "ece_tflite", "megabytes"),
)
MEASURED = tuple(
    f"{name}_ms_{threads}_threads"
    for threads in (1, 2)
    for name in ("median", "p95")
) + ("memory_mb",)
TURNS = 15


def key_of(run):
    name, arm, seed = run.name.rsplit("-", 2)
    return {"set": name, "arm": arm, "seed": seed}


def parity(runs, file):
    for run in runs:
        if is_done(file, **key_of(run), variant=VARIANTS[-1]):
            continue
        keras.backend.clear_session()
        written = export(run, variants=VARIANTS)
        reports = {path.name: report for path, report in written if report}
        for variant, report in zip(VARIANTS, reports.values(), strict=True):
            numbers = {name: f"{report[name]:.5g}" for name in PARITY}
            append_row(file, {**key_of(run), "variant": variant, **numbers})
            print(key_of(run), variant, numbers, flush=True)


def costs(run, plain, file):
    """A row for each file of both runs; ratios are of neighbours in time."""
    for path in sorted((run / "export").glob("*.tflite")):
        turns = {run: [], plain: []}
        for _ in range(TURNS):
            for folder, rows in turns.items():
                measured, _ = benchmark(folder / "export" / path.name)
                rows += measured
        for folder, rows in turns.items():
            row = {**key_of(folder), "file": path.name}
            # Seeds cost the same: one row for each arm and file.
            if is_done(file, **{k: v for k, v in row.items() if k != "seed"}):
                continue
            for column, value in rows[0].items():
                if column in MEASURED:
                    value = statistics.median(float(r[column]) for r in rows)
                if column not in (*MEASURES, "file"):
                    row[column] = value
            for column in MEASURED[:-1:2]:
                ratios = [
                    float(mine[column]) / float(theirs[column])
                    for mine, theirs in zip(rows, turns[plain], strict=True)
                ]
                low, middle, high = statistics.quantiles(ratios, n=4)
                row[column.replace("median_ms", "ratio")] = f"{middle:.3f}"
                row[column.replace("median_ms", "quartiles")] = (
                    f"{low:.3f} to {high:.3f}"
                )
            append_row(file, row)
            print(row, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--costs", action="store_true")
    options = parser.parse_args()
    if options.costs:
        costs(*options.runs, RESULTS / "mobile_costs.csv")
    else:
        parity(options.runs, RESULTS / "mobile.csv")


if __name__ == "__main__":
    main()
