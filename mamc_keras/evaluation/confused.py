"""The classes that are taken for each other, with the photos side by side."""

import numpy as np
from matplotlib.figure import Figure

from mamc_keras.evaluation import drawing
from mamc_keras.evaluation import metrics

PHOTOS = 3  # on each side of a pair


def confused_figure(path_out, predictions, read, pairs=6):
    """Draws the most confused pairs of classes.

    A row is one pair. Left are the photos that were mistaken, the surest
    mistakes first; right are photos of the class that they were taken for,
    those of which the model is surest.

    Args:
        path_out: str or Path of the PNG.
        predictions: `Predictions`.
        read: callable from a path to a uint8 array `(height, width, 3)`.
        pairs: int. How many, at most.

    Returns:
        bool: whether there was any mistake; no file is written if not.

    Raises:
        ValueError: when there are no photos.
    """
    found = metrics.most_confused(predictions, pairs)
    if not found:
        return False
    number = {name: k for k, name in enumerate(predictions.class_names)}
    sure = predictions.probabilities.max(axis=1)
    figure = Figure(
        figsize=(4 * PHOTOS + 0.6, 2.65 * len(found) + 0.3),
        layout="constrained",
    )
    halves = figure.subfigures(len(found), 2, squeeze=False, wspace=0.04)
    for (true, answer, count), (left, right) in zip(found, halves, strict=True):
        k, j = number[true], number[answer]
        mistaken = (predictions.labels == k) & (predictions.predicted == j)
        names = drawing.readable_name(true), drawing.readable_name(answer)
        own = (predictions.labels == k).sum()
        left.suptitle(
            f"{names[0]}: {count} of {own} taken for {names[1]}",
            fontsize=9,
            color="#b02020",
            parse_math=False,
        )
        right.suptitle(
            f"{names[1]}, as it really looks",
            fontsize=9,
            parse_math=False,
        )
        _row(left, surest(mistaken, sure), predictions, sure, read, j)
        # Right answers first; a class that is never recognised has others.
        known = predictions.labels == j
        rank = sure + (predictions.predicted == j)
        _row(right, surest(known, rank), predictions, sure, read, j)
    drawing.save(figure, path_out)
    return True


def surest(which, sure):
    """Picks the three surest of some photos.

    Args:
        which: bool array `(n,)`.
        sure: float array `(n,)`.

    Returns:
        int array, the surest first.
    """
    index = np.flatnonzero(which)
    return index[np.argsort(-sure[index], kind="stable")][:PHOTOS]


def _row(half, index, predictions, sure, read, answer):
    axes = half.subplots(1, PHOTOS, squeeze=False)[0]
    for axis in axes[len(index) :]:
        drawing.show(axis, None)
    for axis, i in zip(axes, index, strict=False):
        said = predictions.predicted[i]
        name = drawing.wrapped(predictions.class_names[said], 26)
        text = f"answer: {sure[i]:.0%} sure"
        if said != answer:
            text = f"answer: {name}\n{sure[i]:.0%} sure"
        drawing.show(axis, read(predictions.paths[i]), text)
