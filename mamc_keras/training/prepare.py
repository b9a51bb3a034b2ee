"""The photos that a run trains on, and what it says about them."""

import hashlib
import logging
import os

from mamc_keras.data.checks import check_source
from mamc_keras.data.sources import open_source
from mamc_keras.evaluation.calibration import what_is_stored

_log = logging.getLogger("mamc_keras")


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
        what_is_stored(len(splits["val"])),
    ]


def fingerprint(*image_sets):
    """Names sets of images by their order, file names, labels and classes.

    Where the photos lie does not matter: a run may go on elsewhere. What is
    in the files is not looked at.

    Args:
        *image_sets: `ImageSet`, of training and validation.

    Returns:
        str, 32 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for images in image_sets:
        digest.update(repr(tuple(images.class_names)).encode())
        digest.update(images.labels.astype("<i8").tobytes())
        for path in images.paths:
            digest.update(os.fsencode(os.path.basename(path)) + b"\n")
    return digest.hexdigest()[:32]
