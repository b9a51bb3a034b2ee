"""The search for a better default: one change at a time, on validation photos.

Every idea changes one thing of the shipped default and trains as it does, with
half its epochs. A set without val photos of its own gives a fifth of its
training photos; the last epoch is measured on them. The test splits are not
touched. One CSV row a run, appended when it is done, so a killed call goes on
where it stopped. The ideas are in the order of their worth: a time limit cuts
the tail.

Run: python benchmarks/ideas.py FOLDER... [--ideas NAME...] [--seeds 1]
"""

import argparse
import dataclasses
import functools
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow leaves oneDNN off on CPUs without AVX-512; it is faster there too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np
from ablation import ARMS
from ablation import HEAD_RATES
from ablation import bits
from idea_heads import ApartGates
from idea_heads import ClassifierABranch
from idea_heads import DecayedGates
from idea_heads import DroppedGates
from idea_heads import IdentityGates
from idea_heads import NeckClassifier
from idea_heads import PlaceGates
from idea_heads import PooledNeckClassifier
from idea_heads import SlowGates
from idea_heads import TwoStagesClassifier
from idea_heads import with_osme
from idea_losses import MemoryMAMC
from idea_losses import RisingMAMC
from results import append_row
from results import missing

from mamc_keras.data.n_pairs import NPairPlan
from mamc_keras.evaluation.localization import likeness
from mamc_keras.evaluation.metrics import summary
from mamc_keras.evaluation.predictions import Predictions
from mamc_keras.evaluation.retrieval import map_at_r
from mamc_keras.evaluation.retrieval import recall_at_k
from mamc_keras.models.classifier import MAMCImageClassifier
from mamc_keras.recipe import load_recipe
from mamc_keras.report.branches import branch_cosine
from mamc_keras.run_folder import environment
from mamc_keras.training.batches import cached_batches
from mamc_keras.training.build import build_model
from mamc_keras.training.build import compile_model
from mamc_keras.training.prepare import prepare_data

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "ideas.csv"


class AveragedWeights(keras.callbacks.Callback):
    """Keeps a moving average of the weights; the run ends with it.

    The average is over a tenth of the steps so far, at most the last hundred:
    nothing of the random start stays in it.
    """

    def __init__(self, momentum=0.99):
        super().__init__()
        self.momentum = momentum

    def on_train_begin(self, logs=None):
        self.steps = 0
        self.average = [w.numpy() for w in self.model.trainable_weights]

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        momentum = min(self.momentum, self.steps / (9 + self.steps))
        weights = self.model.trainable_weights
        for mean, weight in zip(self.average, weights, strict=True):
            mean += (1 - momentum) * (weight.numpy() - mean)

    def on_train_end(self, logs=None):
        weights = self.model.trainable_weights
        for mean, weight in zip(self.average, weights, strict=True):
            weight.assign(mean)


@dataclasses.dataclass(frozen=True)
class Idea:
    """What is changed: fields of the recipe, the head, the loss, training.

    `loss` is a function of the number of steps of the run.
    """

    recipe: dict = dataclasses.field(default_factory=dict)
    classifier: type = MAMCImageClassifier
    loss: Callable | None = None
    callbacks: Callable = list


def arm(name, classifier=MAMCImageClassifier):
    rate = HEAD_RATES.get(name)
    changes = {"head_learning_rate": rate} if rate else {}
    return Idea({**ARMS[name], **changes}, classifier)


IDEAS = {
    "shipped": Idea(),
    "plain_softmax": arm("plain_softmax"),
    "npair_one_branch": arm("npair_one_branch"),
    "no_gates": arm("mamc_no_gates"),
    "gates_identity": Idea(classifier=with_osme(IdentityGates)),
    "gates_apart": Idea(classifier=with_osme(ApartGates)),
    "gates_slow": Idea(classifier=with_osme(SlowGates)),
    "gates_decayed": Idea(classifier=with_osme(DecayedGates)),
    "gates_dropped": Idea(classifier=with_osme(DroppedGates)),
    "gates_of_places": Idea(classifier=with_osme(PlaceGates)),
    "neck": Idea(classifier=NeckClassifier),
    "neck_npair_one_branch": arm("npair_one_branch", NeckClassifier),
    "neck_plain_softmax": arm("plain_softmax", PooledNeckClassifier),
    "neck_plain_softmax_1e-3": Idea(
        ARMS["plain_softmax"], PooledNeckClassifier
    ),
    "neck_no_gates": arm("mamc_no_gates", NeckClassifier),
    "neck_no_mamc": arm("osme", NeckClassifier),
    "neck_lambda_1": Idea({"mamc_weight": 1.0}, NeckClassifier),
    "neck_lambda_2": Idea({"mamc_weight": 2.0}, NeckClassifier),
    "neck_literal": arm("osme_mamc_literal", NeckClassifier),
    "literal": arm("osme_mamc_literal"),
    "classifier_a_branch": Idea(classifier=ClassifierABranch),
    "memory_512": Idea(loss=lambda steps: MemoryMAMC(start=steps // 5)),
    "classes_32": Idea({"classes_per_batch": 32}),
    "lambda_0.25": Idea({"mamc_weight": 0.25}),
    "lambda_1": Idea({"mamc_weight": 1.0}),
    "lambda_2": Idea({"mamc_weight": 2.0}),
    "lambda_rising": Idea(loss=lambda steps: RisingMAMC(steps // 3)),
    "raw_products": Idea({"normalize": False}),
    "sum_positives": Idea({"positives": "sum"}),
    "temperature_0.05": Idea({"temperature": 0.05}),
    "temperature_0.2": Idea({"temperature": 0.2}),
    "terms_1_1_0": Idea({"term_weights": (1.0, 1.0, 0.0)}),
    "terms_1_0.5_0.5": Idea({"term_weights": (1.0, 0.5, 0.5)}),
    "p_3": Idea({"num_attentions": 3}),
    "p_4": Idea({"num_attentions": 4}),
    "d_128": Idea({"embedding_dim": 128}),
    "d_256": Idea({"embedding_dim": 256}),
    "d_1024": Idea({"embedding_dim": 1024}),
    "grid_2": Idea({"grid_size": 2}),
    "grid_3": Idea({"grid_size": 3}),
    "stage_a_branch": Idea({"num_attentions": 1}, TwoStagesClassifier),
    "two_stages": Idea(classifier=TwoStagesClassifier),
    "averaged_weights": Idea(callbacks=lambda: [AveragedWeights()]),
    "dropout_0.5": Idea({"dropout": 0.5}),
    "label_smoothing": Idea({"label_smoothing": 0.1}),
    "strong_views": Idea({"augmentation": "strong"}),
    "pixels_288": Idea({"image_size": (288, 288)}),
    "whole_map": Idea({"grid_size": None}),
}


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
