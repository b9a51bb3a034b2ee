"""What the old classes keep when a trained preset gets new ones.

Every eighth class of a set is new. A preset is trained without them, and then
on from there on the photos of all classes, for a few epochs ("grown").
"before" is the preset without new classes, and "afresh" trains all classes
from ImageNet, in as many epochs as "before". Test split, top-1 of old and new
photos among all classes that the model has.

Run: python benchmarks/grow.py FOLDER [--seeds 3]
"""

import argparse
import csv
import dataclasses
import logging
import os
import shutil
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow leaves oneDNN off on CPUs without AVX-512; it is faster there too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np
from results import append_row
from results import is_done

from mamc_keras import train
from mamc_keras.data.sources import open_source
from mamc_keras.evaluation.evaluate import evaluate
from mamc_keras.evaluation.predictions import Predictions
from mamc_keras.recipe import load_recipe

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "grow.csv"
EVERY, EPOCHS = 8, 3


def write_list(file, splits, names):
    """A source of some classes only, as a list of paths."""
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "label", "split"))
        for split, images in splits.items():
            for path, label in zip(images.paths, images.labels, strict=True):
                name = images.class_names[label]
                if name in names:
                    writer.writerow((Path(path).resolve(), name, split))


def shares(folder, new):
    """Share of right answers on photos of old and of new classes."""
    table = Predictions.load(folder)
    right = table.predicted == table.labels
    is_new = np.isin(np.array(table.class_names)[table.labels], list(new))
    return [
        f"{right[part].mean():.4f}" if part.any() else ""
        for part in (~is_new, is_new)
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/grow"))
    parser.add_argument("--csv", type=Path, default=RESULTS)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    splits = open_source(str(options.folder))
    names = splits["train"].class_names
    new = set(names[EVERY - 1 :: EVERY])
    options.runs.mkdir(parents=True, exist_ok=True)
    write_list(options.runs / "all.csv", splits, set(names))
    write_list(options.runs / "old.csv", splits, set(names) - new)
    recipe = load_recipe(HERE.parent / "recipes" / f"{options.folder.name}.py")
    for seed in range(options.seeds):
        ways = {"before": {}, "grown": {"epochs": EPOCHS}, "afresh": {}}
        ways["grown"]["preset"] = str(options.runs / f"before-{seed}/preset")
        for way, changes in ways.items():
            if is_done(options.csv, way=way, seed=seed):
                continue
            run = options.runs / f"{way}-{seed}"
            part = "old" if way == "before" else "all"
            how = dataclasses.replace(
                recipe,
                source=str(options.runs / f"{part}.csv"),
                seed=seed,
                **changes,
            )
            keras.backend.clear_session()
            if not (run / "metrics.json").exists():
                shutil.rmtree(run, ignore_errors=True)
                train(how, run)
            evaluate(run)
            old_share, new_share = shares(run / "evaluation-test", new)
            row = {
                "set": options.folder.name,
                "way": way,
                "seed": seed,
                "epochs": how.epochs,
                "old_classes": len(names) - len(new),
                "new_classes": len(new),
                "top1_old": old_share,
                "top1_new": new_share,
            }
            append_row(options.csv, row)
            logging.warning("%s", row)


if __name__ == "__main__":
    main()
