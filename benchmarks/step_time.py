"""Time of one training step of each arm, beside the plain softmax.

The upper stages of EfficientNet-Lite0 on random features of the fast mode's
size, batches of 16 classes x 2 photos, 50 classes. Arms take turns in one
process, so that a slow minute of the machine hits all; the table shows medians
of the ratios within a turn. Run it while nothing else runs.

Run: python benchmarks/step_time.py [--turns 7]
"""

import argparse
import dataclasses
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow leaves oneDNN off on CPUs without AVX-512; it is faster there too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import numpy as np
from ablation import ARMS
from ablation_rows import BASELINE
from results import append_row
from rival_losses import RIVALS

from mamc_keras import Recipe
from mamc_keras.models.split import split_encoder
from mamc_keras.training import build_model
from mamc_keras.training import compile_model

RESULTS = Path(__file__).parent / "results" / "step_time.csv"
CLASSES, STEPS = 50, 3


def upper_half(arm):
    """The part of an arm that the fast mode trains, and its input shape."""
    recipe = dataclasses.replace(Recipe(), **ARMS[arm])
    rival = RIVALS.get(arm.removeprefix("osme_"))
    names = [str(k) for k in range(CLASSES)]
    model = build_model(recipe, names, rival and rival())
    lower, upper = split_encoder(model.backbone.encoder, recipe.image_size)
    config = model.get_config()
    config.update(backbone=upper, preprocessor=None, image_size=None)
    trained = type(model).from_config(config)
    compile_model(trained, recipe, 100, np.full(CLASSES, 30))
    return trained, model.count_params(), lower.output_shape[1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--turns", type=int, default=7)
    options = parser.parse_args()
    arms = list(dict.fromkeys([BASELINE, *options.arms]))
    models, weights, rng = {}, {}, np.random.default_rng(0)
    labels = np.repeat(rng.permutation(CLASSES)[:16], 2)
    for arm in arms:
        models[arm], weights[arm], shape = upper_half(arm)
        features = rng.normal(size=(32, *shape)).astype("float32")
        models[arm].train_on_batch(features, labels)
    RESULTS.unlink(missing_ok=True)
    for turn in range(options.turns):
        for arm, model in models.items():
            started = time.perf_counter()
            for _ in range(STEPS):
                model.train_on_batch(features, labels)
            seconds = (time.perf_counter() - started) / STEPS
            row = {
                "arm": arm,
                "turn": turn,
                "seconds": f"{seconds:.4f}",
                "weights": weights[arm],
            }
            append_row(RESULTS, row)


if __name__ == "__main__":
    main()
