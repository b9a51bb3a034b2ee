"""The search for a better default: one change at a time, on validation photos.

Every idea changes one thing of the shipped default and trains as it does, with
half its epochs. A set without val photos of its own gives a fifth of its
training photos; the last epoch is measured on them. The test splits are not
touched. One CSV row a run, appended when it is done, so a killed call goes on
where it stopped. A time limit cuts the tail of the list of ideas.

Run: python benchmarks/ideas.py FOLDER... [--ideas NAME...] [--seeds 1]
"""

import argparse
import dataclasses
import functools
import logging
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow leaves oneDNN off on CPUs without AVX-512; it is faster there too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np
from ablation import bits
from idea_list import IDEAS
from results import append_row
from results import missing

from mamc_keras.data.n_pairs import NPairPlan
from mamc_keras.evaluation.localization import likeness
from mamc_keras.evaluation.metrics import summary
from mamc_keras.evaluation.predictions import Predictions
from mamc_keras.evaluation.retrieval import map_at_r
from mamc_keras.evaluation.retrieval import recall_at_k
from mamc_keras.recipe import load_recipe
from mamc_keras.report.branches import branch_cosine
from mamc_keras.run_folder import environment
from mamc_keras.training.batches import cached_batches
from mamc_keras.training.build import build_model
from mamc_keras.training.build import compile_model
from mamc_keras.training.prepare import prepare_data

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "ideas.csv"


@functools.cache
def photos(source, validation_fraction):
    """Splits of a folder's readable photos, the same for ideas and seeds."""
    recipe = load_recipe(HERE.parent / "recipes" / f"{Path(source).name}.py")
    recipe = dataclasses.replace(
        recipe,
        source=source,
        validation_fraction=validation_fraction,
    )
    return prepare_data(recipe)[0]


def build(recipe, idea, class_names, steps):
    """The classifier of a recipe with the idea's head and loss."""
    model = build_model(recipe, class_names, idea.loss and idea.loss(steps))
    config = model.get_config()
    config.update(backbone=model.backbone, preprocessor=model.preprocessor)
    return idea.classifier.from_config(config)


def look_at(model, dataset, images):
    """Predictions and heat maps of a trained half for validation batches."""
    parts = [
        {**model.heads(x), "maps": model.attention_maps(x)} for x, _ in dataset
    ]
    logits, embeddings, maps = (
        np.concatenate([np.asarray(part[name]) for part in parts])
        for name in ("logits", "embeddings", "maps")
    )
    table = Predictions(
        images.paths, images.labels, logits, embeddings, images.class_names
    )
    return table, maps


def measure(folder, name, seed, epochs):
    idea = IDEAS[name]
    recipe = load_recipe(HERE.parent / "recipes" / f"{folder.name}.py")
    recipe = dataclasses.replace(
        recipe,
        source=str(folder),
        seed=seed,
        epochs=epochs,
        validation_fraction=0.2,
        **idea.recipe,
    )
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    splits = photos(recipe.source, recipe.validation_fraction)
    plan = NPairPlan(
        splits["train"].labels,
        recipe.classes_per_batch,
        recipe.images_per_class,
        seed,
    )
    steps = epochs * plan.steps_per_epoch
    model = build(recipe, idea, splits["train"].class_names, steps)
    trained, stream, validation = cached_batches(recipe, model, splits)
    counts = splits["train"].class_counts()
    compile_model(trained, recipe, plan.steps_per_epoch, counts)
    started = time.monotonic()
    trained.fit(
        stream(plan, 0, 0),
        epochs=epochs,
        steps_per_epoch=plan.steps_per_epoch,
        shuffle=False,
        callbacks=idea.callbacks(),
        verbose=0,
    )
    seconds = time.monotonic() - started
    table, maps = look_at(trained, validation, splits["val"])
    measures = summary(table)
    measures["recall@1"] = recall_at_k(table.embeddings, table.labels)[1]
    measures["map@r"] = map_at_r(table.embeddings, table.labels)
    alike = same_peak = float("nan")
    if maps.shape[1] > 1:
        alike, same_peak = likeness(maps)
    return {
        "set": folder.name,
        "idea": name,
        "seed": seed,
        "epochs": epochs,
        **{
            column: f"{measures[column]:.4f}"
            for column in ("top1", "macro", "nll", "ece", "recall@1", "map@r")
        },
        "branch_cosine": f"{branch_cosine(table.embeddings):.4f}",
        "map_correlation": f"{alike:.4f}",
        "same_peak": f"{same_peak:.4f}",
        "images": len(table),
        "seconds": round(seconds),
        "weights": trained.count_params(),
        "commit": environment()["commit"],
        "right": bits(table.predicted == table.labels),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument(
        "--ideas", nargs="+", default=list(IDEAS), choices=IDEAS
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--csv", type=Path, default=RESULTS)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    folders = {folder.name: folder for folder in options.folders}
    for key in missing(
        options.csv,
        epochs=[options.epochs],
        seed=range(options.seeds),
        idea=options.ideas,
        set=folders,
    ):
        folder = folders[key["set"]]
        row = measure(folder, key["idea"], key["seed"], key["epochs"])
        append_row(options.csv, row)
        logging.warning("%s", row)


if __name__ == "__main__":
    main()
