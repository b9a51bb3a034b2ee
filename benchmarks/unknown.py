"""Does the classifier notice what it was never shown?

A third of a set's classes, drawn by the seed, is left out of training. Photos
of the other classes are known; those of the left-out classes are the
look-alikes ("near"), and test photos of the other sets given are something
else altogether ("far"). Each run is the set's recipe, but for its validation
photos: the set's own, or a tenth of the training photos as is the default of
`Recipe`. Every photo goes through the network once for all scores.

results/unknown.csv has a row for each run and score: the area under the ROC
curve and the share of unknown photos that pass when 95 % of the known ones
do; and, with the threshold that a preset would store, how many known test
photos are called unknown and how many unknown ones are. "choice" compares
validation photos with training photos of the left-out classes: no test photo
decides which score is shipped. results/calibration.csv has a row for each run:
what the temperature changes on known test photos. Finished runs are skipped.

Run: python benchmarks/unknown.py FOLDER FOLDER... [--seeds 3]
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
from ablation import ARMS
from ablation import HEAD_RATES
from grow import write_list
from mahalanobis import Mahalanobis
from results import append_row
from results import is_done

from mamc_keras import Recipe
from mamc_keras import train
from mamc_keras.data.sources import ImageSet
from mamc_keras.data.sources import open_source
from mamc_keras.evaluation import unknown
from mamc_keras.evaluation.metrics import calibration_error
from mamc_keras.evaluation.metrics import negative_log_likelihood
from mamc_keras.evaluation.predictions import predict_images
from mamc_keras.evaluation.temperature import fit_temperature
from mamc_keras.recipe import load_recipe

HERE = Path(__file__).parent
RESULTS = HERE / "results"
SCORES = ("max_probability", "energy", "prototype", "mahalanobis")
FALSE_ALARMS = 0.05
FAR_PHOTOS = 500  # of each other set, evenly over its test photos


def left_out(names, seed):
    """The third of the classes that a run never sees."""
    rng = np.random.default_rng(seed)
    return set(rng.choice(names, len(names) // 3, replace=False).tolist())


def divide(folder, seed):
    """Splits of a set with validation photos, and the classes left out."""
    splits = open_source(str(folder), Recipe().validation_fraction, seed=seed)
    return splits, left_out(splits["train"].class_names, seed)


def of_classes(images, names, known):
    """Photos of some classes, with labels by `known`, 0 for the others."""
    own = np.array(images.class_names)[images.labels]
    place = {name: k for k, name in enumerate(known)}
    chosen = np.flatnonzero(np.isin(own, list(names)))
    return ImageSet(
        [images.paths[i] for i in chosen],
        np.array([place.get(own[i], 0) for i in chosen]),
        known,
    )


def evenly(images, count):
    """Paths of photos, evenly over a set's list."""
    count = min(count, len(images))
    index = np.linspace(0, len(images) - 1, count).astype(int)
    return tuple(images.paths[i] for i in index)


def tables(model, folder, others, seed):
    """Predictions of every kind of photo, by name."""
    splits, out = divide(folder, seed)
    known = model.class_names
    parts = {
        name: of_classes(splits[name], known, known)
        for name in ("train", "val", "test")
    }
    parts["near_choice"] = of_classes(splits["train"], out, known)
    parts["near"] = of_classes(splits["test"], out, known)
    # Of no class of the set, photographed by somebody else.
    far = [evenly(open_source(str(f))["test"], FAR_PHOTOS) for f in others]
    parts["far"] = ImageSet(sum(far, ()), np.zeros(len(sum(far, ()))), known)
    return {k: predict_images(model, v) for k, v in parts.items()}


def scores_of(found):
    """Every score of every kind of photo: dict of dict of arrays."""
    train_table = found["train"]
    fit = (
        train_table.embeddings,
        train_table.labels,
        len(train_table.class_names),
    )
    prototypes = unknown.class_prototypes(*fit).astype(np.float16)
    distance = Mahalanobis(*fit)
    ways = {
        "max_probability": lambda t: unknown.max_probability(t.logits),
        "energy": lambda t: unknown.energy(t.logits),
        "prototype": lambda t: unknown.nearest_prototype(
            t.embeddings, prototypes
        ),
        "mahalanobis": lambda t: distance(t.embeddings),
    }
    return {
        score: {
            part: ways[score](table)
            for part, table in found.items()
            if part != "train"
        }
        for score in SCORES
    }


def measured(values):
    """The numbers of one score."""
    threshold = unknown.threshold_at(values["val"], FALSE_ALARMS)
    row = {}
    for name, known, other in (
        ("choice", "val", "near_choice"),
        ("near", "test", "near"),
        ("far", "test", "far"),
    ):
        auroc, passed = unknown.separation(values[known], values[other])
        row[f"{name}_auroc"] = f"{auroc:.4f}"
        row[f"{name}_fpr95"] = f"{passed:.4f}"
    row["false_alarms"] = f"{np.mean(values['test'] < threshold):.4f}"
    for name in ("near", "far"):
        row[f"{name}_caught"] = f"{np.mean(values[name] < threshold):.4f}"
    row.update({f"{k}_photos": len(v) for k, v in values.items()})
    return row


def temperature_row(found):
    """What the temperature changes on known test photos."""
    val, test = found["val"], found["test"]
    temperature = fit_temperature(val.logits, val.labels)
    row = {"temperature": f"{temperature:.4f}", "val_photos": len(val)}
    after = dataclasses.replace(test, logits=test.logits / temperature)
    for suffix, table in (("", test), ("_calibrated", after)):
        row[f"nll{suffix}"] = f"{negative_log_likelihood(table):.4f}"
        row[f"ece{suffix}"] = f"{calibration_error(table):.4f}"
    return row


def trained(folder, arm, seed, runs, changes):
    """The run's model; trained unless it is there."""
    splits, out = divide(folder, seed)
    runs.mkdir(parents=True, exist_ok=True)
    source = runs / f"{folder.name}-{seed}.csv"
    write_list(source, splits, set(splits["train"].class_names) - out)
    recipe = load_recipe(HERE.parent / "recipes" / f"{folder.name}.py")
    rate = HEAD_RATES.get(arm, recipe.head_learning_rate)
    recipe = dataclasses.replace(
        recipe,
        source=str(source),
        seed=seed,
        head_learning_rate=rate,
        **{**ARMS[arm], **changes},
    )
    run = runs / f"{folder.name}-{arm}-{seed}"
    keras.backend.clear_session()
    return train(recipe, run, resume=True)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--far", nargs="*", type=Path, default=())
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--arms", nargs="+", default=["osme_mamc", "plain_softmax"]
    )
    parser.add_argument("--epochs", type=int, help="for a quick look")
    parser.add_argument("--runs", type=Path, default=Path("runs/unknown"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    if len({*options.folders, *options.far}) < 2:
        parser.error("Photos of something else are needed: a second folder.")
    logging.basicConfig(level=logging.WARNING)
    changes = {"epochs": options.epochs} if options.epochs else {}
    everything = dict.fromkeys([*options.folders, *options.far])
    for seed in range(options.seeds):
        for arm in options.arms:
            for folder in options.folders:
                key = {"set": folder.name, "arm": arm, "seed": seed}
                # Its row is the last one that a run writes.
                if is_done(options.results / "calibration.csv", **key):
                    continue
                run = trained(folder, arm, seed, options.runs, changes)
                facts = json.loads((run.path / "environment.json").read_text())
                others = [f for f in everything if f != folder]
                found = tables(run.model, folder, others, seed)
                for score, values in scores_of(found).items():
                    row = {**key, "score": score, **measured(values)}
                    row["commit"] = facts["commit"]
                    if not is_done(
                        options.results / "unknown.csv", **key, score=score
                    ):
                        append_row(options.results / "unknown.csv", row)
                    logging.warning("%s", row)
                append_row(
                    options.results / "calibration.csv",
                    {**key, **temperature_row(found)},
                )


if __name__ == "__main__":
    main()
