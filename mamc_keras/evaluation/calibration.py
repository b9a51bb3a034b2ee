"""What a preset learns from validation photos once it is trained.

One temperature, so that probabilities are worth what they say, and one
threshold, under which a photo is perhaps of none of the classes.
"""

import dataclasses
import logging

import numpy as np

from mamc_keras.evaluation import unknown
from mamc_keras.evaluation.metrics import calibration_error
from mamc_keras.evaluation.metrics import negative_log_likelihood
from mamc_keras.evaluation.predictions import predict_images
from mamc_keras.evaluation.stored_calibration import Calibration
from mamc_keras.evaluation.temperature import fit_temperature

_log = logging.getLogger("mamc_keras")
# Enough for a mean direction; a class may have thousands of photos.
PHOTOS_PER_CLASS = 50
LEAST_PHOTOS = 100


def what_is_stored(images):
    """Says whether a run's validation photos are enough to store anything.

    Args:
        images: int. Number of validation photos.

    Returns:
        str.
    """
    if images >= LEAST_PHOTOS:
        return (
            "The preset will store a temperature and a threshold for photos "
            f"of none of the classes, from {images:,} validation photos."
        )
    return (
        "The preset will store no temperature and no threshold for photos of "
        f"none of the classes: {images} validation photos are fewer than "
        f"{LEAST_PHOTOS}."
    )


def best_score(model):
    """Names the unknown score that was best for such a model.

    Chosen by benchmarks/unknown.py, on photos of no test split: MAMC makes
    the cosine to a class prototype worth having, a softmax alone does not.

    Args:
        model: `MAMCImageClassifier`.

    Returns:
        str, as in `Calibration`.
    """
    return "prototype" if model.mamc_weight else "max_probability"


def calibrate(model, validation, train, false_alarm_rate=0.05, score=None):
    """Fits temperature and threshold of a trained classifier.

    Args:
        model: `MAMCImageClassifier`.
        validation: `Predictions` of photos that were not trained on.
        train: `ImageSet` of the photos that were, for the prototypes: at most
            50 of each class, evenly over the list.
        false_alarm_rate: float in `(0, 1)`.
        score: str, as in `Calibration`; by default that of `best_score`.

    Returns:
        A `Calibration`.

    Raises:
        ValueError: with fewer than 100 validation photos.
    """
    if len(validation) < LEAST_PHOTOS:
        raise ValueError(
            "Too few photos for a temperature and a threshold. Received: "
            f"predictions of {len(validation)} photos. Keep {LEAST_PHOTOS} or "
            "more for validation."
        )
    score = score or best_score(model)
    prototypes = None
    if score == "prototype":
        table = predict_images(model, train.take(_even(train.labels)))
        prototypes = unknown.class_prototypes(
            table.embeddings, table.labels, model.num_classes
        ).astype(np.float16)
    calibration = Calibration(
        fit_temperature(validation.logits, validation.labels),
        score,
        -np.inf,
        false_alarm_rate,
        len(validation),
        prototypes,
    )
    # By the stored prototypes, whose rounding moves scores a little.
    scores = calibration.known_score(validation.logits, validation.embeddings)
    threshold = unknown.threshold_at(scores, false_alarm_rate)
    return dataclasses.replace(calibration, threshold=threshold)


def calibrate_preset(folder, model, validation, train):
    """Stores a calibration in a run's preset, when there are photos enough.

    Args:
        folder: `Path` of the preset.
        model: the `MAMCImageClassifier` in it; it gets the calibration too.
        validation, train: as in `calibrate`.
    """
    if len(validation) < LEAST_PHOTOS:
        return
    try:
        model.calibration = calibrate(model, validation, train)
    except ValueError as error:  # A training that diverged is still a run.
        _log.warning("The preset stores no temperature. %s", error)
        return
    model.calibration.save(folder)


def calibrated(predictions, calibration):
    """Measures what a stored calibration changes.

    Args:
        predictions: `Predictions`, of logits as the network gives them.
        calibration: `Calibration`, or `None`.

    Returns:
        dict of float; empty without a calibration.
    """
    if calibration is None:
        return {}
    after = softened(predictions, calibration)
    flags = calibration.is_unknown(predictions.logits, predictions.embeddings)
    return {
        "temperature": calibration.temperature,
        "nll_calibrated": negative_log_likelihood(after),
        "ece_calibrated": calibration_error(after),
        "called_unknown": float(flags.mean()),
    }


def softened(predictions, calibration):
    """The same predictions after the stored temperature.

    Args:
        predictions: `Predictions`.
        calibration: `Calibration`, or `None`.

    Returns:
        `Predictions`.
    """
    if calibration is None:
        return predictions
    logits = predictions.logits / calibration.temperature
    return dataclasses.replace(predictions, logits=logits)


def _even(labels):
    """Indices of at most PHOTOS_PER_CLASS photos of each class, in order."""
    chosen = []
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        count = min(len(own), PHOTOS_PER_CLASS)
        chosen.append(own[np.linspace(0, len(own) - 1, count).astype(int)])
    return np.sort(np.concatenate(chosen))
