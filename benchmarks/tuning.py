"""The choice of the fine-tuning recipe, on a validation part of train.

Every arm of a call gets the same trials. A fifth of the training photos, the
same for every trial, measures the last epoch; the test splits are not touched.
Results are appended to a CSV row by row, so a killed run goes on where it
stopped.

Run: python benchmarks/tuning.py FOLDER... [--trials NAME...] [--arms NAME...]
"""

import argparse
import dataclasses
import logging
import os
import shutil
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow leaves oneDNN off on CPUs without AVX-512; it is faster there too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
from ablation import ARMS
from results import append_row
from results import missing
from rival_losses import RIVALS

from mamc_keras import train
from mamc_keras.recipe import load_recipe

HERE = Path(__file__).parent
TRIALS = {
    "standard": {"augmentation": "standard"},
    "light": {"augmentation": "light"},
    "rate_1e-4": {"learning_rate": 1e-4},
    "rate_6e-4": {"learning_rate": 6e-4},
    "head_3e-3": {"head_learning_rate": 3e-3},
    "rate_6e-4_head_3e-3": {
        "learning_rate": 6e-4,
        "head_learning_rate": 3e-3,
    },
    "smoothing_0.1": {"label_smoothing": 0.1},
}


def measure(folder, arm, trial, scratch):
    rival = RIVALS.get(arm.removeprefix("osme_"))
    base = load_recipe(HERE.parent / "recipes" / f"{folder.name}.py")
    recipe = dataclasses.replace(
        base,
        source=str(folder),
        validation_fraction=0.2,
        **{**ARMS[arm], **TRIALS[trial]},
    )
    shutil.rmtree(scratch, ignore_errors=True)
    keras.backend.clear_session()
    history = train(recipe, scratch, mamc_loss=rival and rival()).history
    return {name: values[-1] for name, values in history.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--trials", nargs="+", default=list(TRIALS))
    parser.add_argument(
        "--arms",
        nargs="+",
        choices=ARMS,
        default=["plain_softmax", "osme_mamc"],
    )
    parser.add_argument("--csv", type=Path, default=HERE / "tuning.csv")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    folders = {folder.name: folder for folder in options.folders}
    for key in missing(
        options.csv, set=folders, trial=options.trials, arm=options.arms
    ):
        data, trial, arm = key.values()
        scratch = Path("runs/tuning") / f"{data}-{arm}"
        last = measure(folders[data], arm, trial, scratch)
        row = {
            "set": data,
            "arm": arm,
            "trial": trial,
            "val_top1": f"{last['val_accuracy']:.4f}",
            "val_nll": f"{last['val_loss']:.4f}",
        }
        append_row(options.csv, row)


if __name__ == "__main__":
    main()
