"""The default recipe beside a plain softmax fine-tune, several seeds.

Both train with the same backbone, batches, views, epochs and optimiser, on
all training photos; without a val folder the last epoch is kept. The recipes
named like the folders are used; they differ only in how a photo becomes
square, which benchmarks/resize_choice.py chose. The test split is used once,
after training. Results are appended to a CSV row by row, so a killed run goes
on where it stopped.

Run: python benchmarks/accuracy.py FOLDER... --seeds 3
"""

import argparse
import dataclasses
import logging
import os
import shutil
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow leaves oneDNN off on CPUs without AVX-512; it is faster there too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np
from ablation import ARMS
from results import append_row
from results import is_done
from results import read_rows

from mamc_keras import train
from mamc_keras.evaluation.evaluate import evaluate
from mamc_keras.recipe import load_recipe
from mamc_keras.run_folder import environment

HERE = Path(__file__).parent
CONFIGS = {
    "osme_mamc": ARMS["osme_mamc"],
    "plain_softmax": ARMS["plain_softmax"],
    "osme_mamc_full": {**ARMS["osme_mamc"], "fast": False},
    "plain_softmax_full": {**ARMS["plain_softmax"], "fast": False},
}


def measure(folder, config, seed, runs):
    base = load_recipe(HERE.parent / "recipes" / f"{folder.name}.py")
    recipe = dataclasses.replace(
        base, source=str(folder), seed=seed, **CONFIGS[config]
    )
    run_dir = runs / f"{folder.name}-{config}-{seed}"
    if not (run_dir / "metrics.json").exists():
        shutil.rmtree(run_dir, ignore_errors=True)
        keras.backend.clear_session()
        started = time.monotonic()
        train(recipe, run_dir)
        (run_dir / "seconds").write_text(f"{time.monotonic() - started:.0f}")
    measures, _ = evaluate(run_dir)
    return {
        "set": folder.name,
        "config": config,
        "seed": seed,
        "top1": f"{measures['top1']:.4f}",
        "macro": f"{measures['macro']:.4f}",
        "recall@1": f"{measures['recall@1']:.4f}",
        "nll": f"{measures['nll']:.4f}",
        "ece": f"{measures['ece']:.4f}",
        "images": measures["images"],
        "epochs": recipe.epochs,
        "train_seconds": (run_dir / "seconds").read_text(),
        "commit": environment()["commit"],
    }


def summarise(file):
    """Prints mean and spread of each set and configuration as Markdown."""
    table = read_rows(file)
    print("| set | configuration | seeds | top-1 | macro | recall@1 | NLL |")
    print("|---|---|---|---|---|---|---|")
    for key in dict.fromkeys((r["set"], r["config"]) for r in table):
        mine = [r for r in table if (r["set"], r["config"]) == key]

        def cell(name, factor=100, digits=1, mine=mine):
            values = factor * np.array([float(r[name]) for r in mine])
            spread = values.std(ddof=1) if len(values) > 1 else 0.0
            return f"{values.mean():.{digits}f} ± {spread:.{digits}f}"

        print(
            f"| {key[0]} | {key[1]} | {len(mine)} | {cell('top1')} | "
            f"{cell('macro')} | {cell('recall@1')} | {cell('nll', 1, 2)} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--configs", nargs="+", default=["osme_mamc", "plain_softmax"]
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/accuracy"))
    parser.add_argument("--csv", type=Path, default=HERE / "accuracy.csv")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    for seed in range(options.seeds):
        for folder in options.folders:
            for config in options.configs:
                key = {"set": folder.name, "config": config, "seed": seed}
                if is_done(options.csv, **key):
                    continue
                row = measure(folder, config, seed, options.runs)
                append_row(options.csv, row)
                logging.warning("%s", row)
    summarise(options.csv)


if __name__ == "__main__":
    main()
