"""The exported files beside Keras, on the whole test split.

Takes the run folders that benchmarks/accuracy.py left, so a resumed call
goes on where it stopped.

Run: python benchmarks/parity.py runs/accuracy/*-osme_mamc-*
"""

import csv
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow leaves oneDNN off on CPUs without AVX-512; it is faster there too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from mamc_keras.export.export import export

FILE = Path(__file__).parent / "parity.csv"


def main(runs):
    done = set()
    if FILE.exists():
        with FILE.open(newline="") as stream:
            done = {(r["set"], r["seed"]) for r in csv.DictReader(stream)}
    for run in map(Path, runs):
        name, _, seed = run.name.split("-")
        if (name, seed) in done:
            continue
        for file, report in export(run):
            if not report:
                continue
            row = {"set": name, "seed": seed, "file": file.name, **report}
            new = not FILE.exists()
            with FILE.open("a", newline="") as stream:
                writer = csv.DictWriter(stream, row)
                if new:
                    writer.writeheader()
                writer.writerow(row)
            print(row, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
