"""Classes that do worse than the rest, and what is known of the reasons."""

import dataclasses

import numpy as np
from scipy.stats import binomtest

from mamc_keras.evaluation.drawing import readable_name

FEW = 10  # training photos; below half the median is few as well
SMALL = 0.6  # of the shorter side of a typical photo
CONFUSED = 2  # photos taken for the same class, and a third of the mistakes


@dataclasses.dataclass(frozen=True)
class Trouble:
    """One class in trouble.

    Args:
        label: int, its number.
        images: int, measured photos.
        hits: int, how many of them were recognised.
        few: int, its training photos if they are few, else `None`.
        small: `(own, all)`, the median shorter side in pixels of its measured
            photos and of all, if they are small, else `None`.
        taken_for: list of `(label, photos)`, the classes that its photos are
            taken for most.
        spread: int, over how many classes its mistakes are spread.
        suspected: int, photos whose label may be wrong.
        mistakes: list of int, its photos that were mistaken, the surest
            mistakes first.
    """

    label: int
    images: int
    hits: int
    few: int | None
    small: tuple | None
    taken_for: list
    spread: int
    suspected: int
    mistakes: list


def classes_in_trouble(predictions, counts=None, suspicions=(), sides=None):
    """Finds classes whose share recognised is below that of all photos.

    Below means that Wilson's 95 % interval of the class ends below the share
    of all photos: with few photos a low share may be bad luck.

    Args:
        predictions: `Predictions`.
        counts: sequence of int, training photos by class, or `None`.
        suspicions: sequence of `Suspicion` about the same photos.
        sides: sequence of int, their shorter sides in pixels, or `None`.

    Returns:
        list of `Trouble`; those that lose most photos first.
    """
    right = predictions.predicted == predictions.labels
    overall = right.mean()
    sure = predictions.probabilities.max(axis=1)
    suspected = np.bincount(
        [s.given for s in suspicions], minlength=len(predictions.class_names)
    )
    found = []
    for label in np.unique(predictions.labels):
        own = predictions.labels == label
        images, hits = int(own.sum()), int(right[own].sum())
        interval = binomtest(hits, images).proportion_ci(method="wilson")
        if interval.high >= overall:
            continue
        wrong = np.flatnonzero(own & ~right)
        found.append(
            Trouble(
                int(label),
                images,
                hits,
                few_photos(counts, label),
                _small(sides, own),
                _taken_for(predictions.predicted[wrong]),
                len(np.unique(predictions.predicted[wrong])),
                int(suspected[label]),
                wrong[np.argsort(-sure[wrong], kind="stable")].tolist(),
            )
        )
    return sorted(found, key=lambda t: t.hits - overall * t.images)


def few_photos(counts, label):
    """Training photos of a class, if they are few.

    Args:
        counts: sequence of int, or `None`.
        label: int.

    Returns:
        int, or `None`.
    """
    if counts is None:
        return None
    limit = max(FEW, np.median(counts) / 2)
    return int(counts[label]) if counts[label] < limit else None


def reasons(trouble, class_names, counts=None):
    """Says in words what is known.

    Args:
        trouble: `Trouble`.
        class_names: sequence of str.
        counts: sequence of int, training photos by class, or `None`.

    Returns:
        list of str, never empty.
    """
    said = []
    if trouble.few is not None:
        said.append(
            f"few training photos: {trouble.few}, against "
            f"{np.median(counts):g} of a typical class"
        )
    if trouble.small is not None:
        said.append(
            "small photos: {:g} pixels on the shorter side, against {:g} of a "
            "typical photo".format(*trouble.small)
        )
    for label, photos in trouble.taken_for:
        name = readable_name(class_names[label])
        said.append(f"{photos} of {trouble.images} are taken for {name}")
    if not trouble.taken_for:
        said.append(
            f"no one class: its {trouble.images - trouble.hits} mistakes are "
            f"spread over {trouble.spread} classes"
        )
    if trouble.suspected:
        said.append(f"{trouble.suspected} of its photos may be labelled wrong")
    return said


def _small(sides, own):
    if sides is None:
        return None
    own, every = np.median(np.asarray(sides)[own]), np.median(sides)
    return (float(own), float(every)) if own < SMALL * every else None


def _taken_for(answers):
    labels, photos = np.unique(answers, return_counts=True)
    order = np.argsort(-photos, kind="stable")[:2]
    enough = max(CONFUSED, len(answers) / 3)
    return [
        (int(labels[i]), int(photos[i])) for i in order if photos[i] >= enough
    ]
