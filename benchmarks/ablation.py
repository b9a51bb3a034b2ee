"""Does it help? Heads and losses side by side: arms x sets x seeds.

Every arm trains with the same backbone, batches, views, schedule and budget,
on all training photos; the last epoch is kept unless the set has a val
folder. The test split is used once, after training. One CSV row a run,
appended when the run is done; a killed call goes on where it stopped, in the
middle of a run too. The arms are in the order of their worth: a time limit
cuts the tail. With --whole every stage of the backbone is trained, and
results/whole.csv has the rows; with --learning-rate 6e-4 the backbone learns
at another rate than the recipe's, and results/ablation_0.0006.csv has them.

Run: python benchmarks/ablation.py FOLDER... [--seeds 3] [--arms NAME...]
"""

import argparse
import dataclasses
import json
import logging
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow leaves oneDNN off on CPUs without AVX-512; it is faster there too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np
from results import append_row
from results import missing
from rival_losses import RIVALS

from mamc_keras import train
from mamc_keras.evaluation.evaluate import evaluate
from mamc_keras.evaluation.evaluate import load_model
from mamc_keras.evaluation.predictions import Predictions
from mamc_keras.recipe import load_recipe
from mamc_keras.report.branches import branch_cosine

HERE = Path(__file__).parent
RESULTS = HERE / "results"
LITERAL = {
    "normalize": False,
    "positives": "sum",
    "normalizer": "pairs",
}
# What each arm changes in the recipe of the set, whose head is OSME + MAMC.
ARMS = {
    "plain_softmax": {"num_attentions": 0, "mamc_weight": 0.0},
    "osme_mamc": {},
    "mamc_no_gates": {"use_gates": False},
    "npair_one_branch": {
        "num_attentions": 1,
        "embedding_dim": 1024,
        "use_gates": False,
        "term_weights": (1.0, 0.0, 0.0),
    },
    "projections": {"use_gates": False, "mamc_weight": 0.0},
    "osme": {"mamc_weight": 0.0},
    "osme_mamc_literal": LITERAL,
    "osme_sasc": {"term_weights": (1.0, 0.0, 0.0)},
    "label_smoothing": {
        "num_attentions": 0,
        "mamc_weight": 0.0,
        "label_smoothing": 0.1,
    },
    "osme_sasc_sadc": {"term_weights": (1.0, 1.0, 0.0)},
    "osme_sasc_dasc": {"term_weights": (1.0, 0.0, 1.0)},
    "osme_sadc_dasc": {"term_weights": (0.0, 1.0, 1.0)},
    **{f"osme_{name}": {} for name in RIVALS},
}
# Chosen on a fifth of cars98's training photos (tuning.csv) between 1e-3, the
# recipe's, and 3e-3, for the first eight arms. Label smoothing has the same
# head as plain_softmax; without an embedding it learns slowly.
HEAD_RATES = {"plain_softmax": 3e-3, "label_smoothing": 3e-3}


def bits(right):
    """Which test photos were right, in order, as hexadecimal digits."""
    return np.packbits(right).tobytes().hex()


def measure(folder, arm, seed, runs, **changes):
    recipe = load_recipe(HERE.parent / "recipes" / f"{folder.name}.py")
    rate = HEAD_RATES.get(arm, recipe.head_learning_rate)
    recipe = dataclasses.replace(
        recipe,
        source=str(folder),
        seed=seed,
        head_learning_rate=rate,
        **ARMS[arm],
        **changes,
    )
    rival = RIVALS.get(arm.removeprefix("osme_"))
    run_dir = runs / f"{folder.name}-{arm}-{seed}"
    keras.backend.clear_session()
    train(recipe, run_dir, mamc_loss=rival and rival(), resume=True)
    measures, _ = evaluate(run_dir)
    table = Predictions.load(run_dir / "evaluation-test")
    facts = json.loads((run_dir / "environment.json").read_text())
    trained = json.loads((run_dir / "metrics.json").read_text())
    model = load_model(run_dir)
    return {
        "set": folder.name,
        "arm": arm,
        "seed": seed,
        "epochs": recipe.epochs,
        "head_learning_rate": recipe.head_learning_rate,
        **{
            name: f"{measures[name]:.4f}"
            for name in ("top1", "macro", "nll", "ece", "recall@1", "map@r")
        },
        "branch_cosine": f"{branch_cosine(table.embeddings):.4f}",
        "images": len(table),
        "seconds": trained["seconds"],
        "weights": model.count_params(),
        "commit": facts["commit"],
        "environment": "; ".join(
            facts[k] for k in ("keras", "tensorflow", "machine")
        ),
        "right": bits(table.predicted == table.labels),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--learning-rate", type=float, help="of the backbone")
    parser.add_argument("--csv", type=Path, help="instead of results/")
    options = parser.parse_args()
    name = "whole" if options.whole else "ablation"
    changes = {"fast": not options.whole}
    if options.learning_rate:
        changes["learning_rate"] = options.learning_rate
        name += f"_{options.learning_rate:g}"
    file = options.csv or RESULTS / f"{name}.csv"
    logging.basicConfig(level=logging.WARNING)
    folders = {folder.name: folder for folder in options.folders}
    for key in missing(
        file,
        seed=range(options.seeds),
        arm=options.arms,
        set=folders,
    ):
        folder = folders[key["set"]]
        row = measure(
            folder,
            key["arm"],
            key["seed"],
            options.runs / name,
            **changes,
        )
        append_row(file, row)
        logging.warning("%s", row)


if __name__ == "__main__":
    main()
