"""The exported files beside Keras, on the whole test split.

Takes the run folders that benchmarks/accuracy.py left, so a resumed call
goes on where it stopped.

Run: python benchmarks/parity.py runs/accuracy/*-osme_mamc-*
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow leaves oneDNN off on CPUs without AVX-512; it is faster there too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from results import append_row
from results import is_done

from mamc_keras.export.export import export

FILE = Path(__file__).parent / "parity.csv"
COLUMNS = (
    *("images", "max_difference", "mean_difference", "agreement"),
    *("accuracy_keras", "accuracy_tflite", "moved", "megabytes"),
)


def main(runs):
    for run in map(Path, runs):
        name, _, seed = run.name.split("-")
        if is_done(FILE, set=name, seed=seed):
            continue
        for file, report in export(run):
            if not report:
                continue
            row = {"set": name, "seed": seed, "file": file.name}
            row |= {column: report[column] for column in COLUMNS}
            append_row(FILE, row)
            print(row, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
