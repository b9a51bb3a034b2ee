"""From a recipe to a run folder with a trained, explained classifier."""

import dataclasses
import logging
import os
import time
from pathlib import Path

import keras

from mamc_keras import run_folder
from mamc_keras.callbacks import BestPreset
from mamc_keras.data.checks import check_source
from mamc_keras.data.n_pairs import NPairPlan
from mamc_keras.data.pipeline import n_pair_dataset
from mamc_keras.data.pipeline import plain_dataset
from mamc_keras.data.sources import open_source
from mamc_keras.feature_cache import cached_features
from mamc_keras.feature_cache import feature_batches
from mamc_keras.feature_cache import plain_feature_batches
from mamc_keras.long_tail import balanced_weights
from mamc_keras.long_tail import logit_offsets
from mamc_keras.mamc_loss import MAMCLoss
from mamc_keras.models.classifier import MAMCImageClassifier
from mamc_keras.models.cross_entropy import CrossEntropy
from mamc_keras.models.encoder import batch_norms
from mamc_keras.models.preprocessing import as_preprocessor
from mamc_keras.models.presets import load_backbone
from mamc_keras.models.split import split_encoder

_log = logging.getLogger("mamc_keras")
# One fixed set of augmented views serves the runs of every seed.
VIEW_SEED = 0


@dataclasses.dataclass
class Run:
    """What `train` gives back.

    Args:
        model: the best `MAMCImageClassifier`.
        history: dict of lists, one value an epoch.
        metrics: dict of validation metrics of the best epoch; empty without
            validation photos.
        path: `Path` of the run folder.
    """

    model: MAMCImageClassifier
    history: dict
    metrics: dict
    path: Path


def train(recipe, run_dir, progress=None, mamc_loss=None):
    """Trains a classifier and writes everything about it to a run folder.

    Args:
        recipe: `Recipe`.
        run_dir: str or Path. A new folder; an existing run is never touched.
        progress: callable `(what, done, total)` for the steps before `fit`,
            or `None`.
        mamc_loss: Keras loss of (labels, embeddings) in place of the
            recipe's MAMC, or `None`.

    Returns:
        A `Run`. The folder holds recipe.json, environment.json, data.txt,
        history.csv, metrics.json, preset/ and pictures.

    Raises:
        ValueError: on unusable data or recipe, before anything is written.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(recipe.dtype)
    try:
        path = run_folder.new_path(run_dir)
        return _train(recipe, path, progress, mamc_loss)
    finally:
        keras.config.set_dtype_policy(before)


def _train(recipe, path, progress, mamc_loss):
    if not recipe.source.startswith("tfds:"):
        # The run must find its photos from any working folder later.
        source = os.path.abspath(os.path.expanduser(recipe.source))
        recipe = dataclasses.replace(recipe, source=source)
    if recipe.exclude:
        exclude = os.path.abspath(os.path.expanduser(recipe.exclude))
        recipe = dataclasses.replace(recipe, exclude=exclude)
    keras.utils.set_random_seed(recipe.seed)
    started = time.monotonic()
    splits, notes = prepare_data(recipe, progress)
    train_set = splits["train"]
    plan = NPairPlan(
        train_set.labels,
        recipe.classes_per_batch,
        recipe.images_per_class,
        recipe.seed,
    )
    for line in (*plan.rules, *describe(recipe, splits, plan)):
        _log.info(line)
        notes.append(line)
    model = build_model(recipe, train_set.class_names, mamc_loss)
    run_folder.start(path, recipe, notes)

    if recipe.fast:
        trained, batches, validation = _cached(
            recipe, model, splits, plan, progress
        )
    else:
        trained, batches, validation = _live(recipe, model, splits, plan)
    counts = train_set.class_counts()
    compile_model(trained, recipe, plan.steps_per_epoch, counts)
    balanced = recipe.class_weights == "balanced"
    best = BestPreset(model, trained, path / "preset")
    history = trained.fit(
        batches,
        epochs=recipe.epochs,
        steps_per_epoch=plan.steps_per_epoch,
        validation_data=validation,
        class_weight=balanced_weights(counts) if balanced else None,
        shuffle=False,  # The plan has mixed the batches already.
        callbacks=[best, keras.callbacks.CSVLogger(path / "history.csv")],
        verbose=1 if _log.isEnabledFor(logging.INFO) else 0,
    ).history
    best.restore()
    metrics = {**best.metrics, "seconds": round(time.monotonic() - started)}
    run_folder.finish(path, model, splits, history, metrics)
    return Run(model, history, metrics, path)


def prepare_data(recipe, progress=None):
    """Opens the source, checks every photo, leaves out the unreadable ones.

    Args:
        recipe: `Recipe`.
        progress: as in `train`.

    Returns:
        `(splits, notes)`: dict of clean `ImageSet` by split name, and a list
        of str for the person who trains.
    """
    splits = open_source(
        recipe.source,
        recipe.validation_fraction,
        recipe.test_fraction,
        recipe.seed,
    )
    step = progress and (lambda done, total: progress("check", done, total))
    report = check_source(splits, step, recipe.source, recipe.exclude)
    lines = report.lines()
    for line in lines:
        _log.info(line)
    return report.clean, list(lines)


def describe(recipe, splits, plan):
    """Says the numbers that follow from recipe and data.

    Args:
        recipe: `Recipe`.
        splits: dict of `ImageSet`.
        plan: `NPairPlan`.

    Returns:
        list of str.
    """
    images = splits["train"]
    per_class = len(images) / len(images.class_names)
    return [
        f"{plan.steps_per_epoch} steps an epoch, {recipe.epochs} epochs, "
        f"{len(images):,} images of {len(images.class_names)} classes, "
        f"{per_class:.0f} each on average; batches of "
        f"{plan.classes_per_batch} classes x {plan.images_per_class} images; "
        f"{len(splits['val']):,} validation and {len(splits['test']):,} "
        "test images.",
        "Lower stages frozen and cached (fast)."
        if recipe.fast
        else "Every stage is trained (fast=False).",
    ]


def build_model(recipe, class_names, mamc_loss=None):
    """Builds the untrained classifier of a recipe on its pretrained backbone.

    Args:
        recipe: `Recipe`.
        class_names: sequence of str.
        mamc_loss: as in `train`.

    Returns:
        A `MAMCImageClassifier`.
    """
    if mamc_loss is None:
        mamc_loss = MAMCLoss(
            normalize=recipe.normalize,
            temperature=recipe.temperature,
            positives=recipe.positives,
            normalizer=recipe.normalizer,
            term_weights=recipe.term_weights,
        )
    backbone, preprocessor = load_backbone(recipe.preset, recipe.image_size)
    model = MAMCImageClassifier(
        backbone,
        len(class_names),
        as_preprocessor(
            preprocessor, recipe.image_size, recipe.crop_to_aspect_ratio
        ),
        num_attentions=recipe.num_attentions,
        embedding_dim=recipe.embedding_dim,
        reduction_ratio=recipe.reduction_ratio,
        grid_size=recipe.grid_size,
        use_gates=recipe.use_gates,
        mamc_loss=mamc_loss,
        mamc_weight=recipe.mamc_weight,
        dropout=recipe.dropout,
        image_size=recipe.image_size,
        class_names=class_names,
    )
    if recipe.freeze_batch_norm:
        for layer in batch_norms(model.backbone):
            layer.trainable = False
    return model


def compile_model(model, recipe, steps_per_epoch, class_counts):
    """Gives the model its loss and optimiser: two rates along a cosine.

    Args:
        model: `MAMCImageClassifier`.
        recipe: `Recipe`.
        steps_per_epoch: int.
        class_counts: int array `(num_classes,)`, training images.
    """
    steps = recipe.epochs * steps_per_epoch
    warmup = min(recipe.warmup_epochs, recipe.epochs / 2) * steps_per_epoch
    cosine = keras.optimizers.schedules.CosineDecay
    rate = recipe.learning_rate
    if warmup:
        slow = cosine(
            0.0, steps - warmup, warmup_target=rate, warmup_steps=warmup
        )
    else:
        slow = cosine(rate, steps)
    fast = cosine(recipe.head_learning_rate, steps)

    def adamw(schedule):
        return keras.optimizers.AdamW(
            schedule, weight_decay=recipe.weight_decay
        )

    rates = keras.optimizers.OptimizerMap(adamw(slow))
    rates["(.*/)?(osme|predictions)/.*"] = adamw(fast)
    loss = CrossEntropy(
        recipe.label_smoothing,
        logit_offsets(class_counts, recipe.logit_adjustment),
    )
    model.compile(optimizer=keras.optimizers.MultiOptimizer(rates), loss=loss)


def _live(recipe, model, splits, plan):
    """Every stage trains on freshly decoded and augmented photos."""
    batches = n_pair_dataset(
        splits["train"],
        plan,
        recipe.image_size,
        recipe.augmentation,
        recipe.seed,
        crop_to_aspect_ratio=recipe.crop_to_aspect_ratio,
    )
    validation = None
    if len(splits["val"]):
        validation = plain_dataset(
            splits["val"], recipe.image_size, 32, recipe.crop_to_aspect_ratio
        )
    return model, batches, validation


def _cached(recipe, model, splits, plan, progress):
    """The upper stages train on cached output of the frozen lower ones."""
    lower, upper = split_encoder(model.backbone.encoder, recipe.image_size)
    lower.trainable = False
    settings = {
        "image_size": list(recipe.image_size),
        "crop_to_aspect_ratio": recipe.crop_to_aspect_ratio,
        "augmentation": recipe.augmentation,
        "views": recipe.cached_views,
        "seed": VIEW_SEED,
    }

    def features(name, **changes):
        step = progress and (
            lambda done, total: progress(f"cache {name}", done, total)
        )
        return cached_features(
            lower,
            model.preprocessor,
            splits[name],
            {**settings, **changes},
            recipe.cache_gb,
            step,
        )

    config = model.get_config()
    config.update(backbone=upper, preprocessor=None, image_size=None)
    trained = type(model).from_config(config)
    batches = feature_batches(
        features("train"),
        splits["train"].labels,
        plan,
        recipe.seed,
        recipe.epochs,
    )
    validation = None
    if len(splits["val"]):
        rows = features("val", augmentation="none", views=1)
        validation = plain_feature_batches(rows, splits["val"].labels)
    return trained, batches, validation
