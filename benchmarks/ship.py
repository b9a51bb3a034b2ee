"""Copies the int8 file of an exported run into saved_models/.

Run: python benchmarks/ship.py RUN_FOLDER   (after mamc evaluate and export)
"""

import csv
import json
import shutil
import sys
from pathlib import Path

SAVED = Path(__file__).parents[1] / "saved_models"


def main(run):
    run = Path(run)
    recipe = json.loads((run / "recipe.json").read_text())
    name = f"{Path(recipe['source']).name}_lite0"
    folder = SAVED / name
    folder.mkdir(exist_ok=True)
    for file in ("model_int8.tflite", "labels.txt"):
        shutil.copyfile(run / "export" / file, folder / file)
    test = json.loads((run / "evaluation-test/metrics.json").read_text())
    parity = json.loads((run / "export/parity.json").read_text())
    int8 = parity["model_int8.tflite"]
    row = {
        "model": name,
        "set": Path(recipe["source"]).name,
        "seed": recipe["seed"],
        "test_images": test["images"],
        "top1_keras": f"{test['top1']:.4f}",
        "top1_int8": f"{int8['accuracy_tflite']:.4f}",
        "recall@1_keras": f"{test['recall@1']:.4f}",
        "megabytes": f"{int8['megabytes']:.2f}",
        "commit": json.loads((run / "environment.json").read_text())["commit"],
    }
    with (SAVED / "results.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, row)
        writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    main(sys.argv[1])
