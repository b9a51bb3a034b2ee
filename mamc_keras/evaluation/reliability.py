"""Is a probability of 80 % right in 80 of 100 cases? The diagram of it."""

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import binomtest

from mamc_keras.evaluation import drawing
from mamc_keras.evaluation import metrics


def reliability_bins(predictions, bins=15):
    """Confidence and accuracy in bins of the largest probability.

    Args:
        predictions: `Predictions`.
        bins: int. Bins of equal width, as in `calibration_error`.

    Returns:
        list of dict, one for each bin that has photos: `low` and `high` (its
        ends), `images`, `confidence` and `accuracy` (means), and
        `accuracy_low` and `accuracy_high`, Wilson's 95 % interval.
    """
    index = metrics.confidence_bins(predictions, bins)
    confidence = predictions.probabilities.max(axis=1)
    right = predictions.predicted == predictions.labels
    rows = []
    for b in np.unique(index):
        own = index == b
        hits, count = int(right[own].sum()), int(own.sum())
        low, high = binomtest(hits, count).proportion_ci(method="wilson")
        rows.append(
            {
                "low": float(b / bins),
                "high": float((b + 1) / bins),
                "images": count,
                "confidence": float(confidence[own].mean()),
                "accuracy": hits / count,
                "accuracy_low": float(low),
                "accuracy_high": float(high),
            }
        )
    return rows


def reliability_figure(path_out, tables):
    """Draws accuracy against confidence, and how many photos say so.

    Args:
        path_out: str or Path of the PNG.
        tables: dict from a name to `Predictions`, one panel each: before and
            after a temperature, for example.

    Raises:
        ValueError: when there are no photos.
    """
    figure = Figure(figsize=(4.4 * len(tables), 5.2), layout="constrained")
    axes = figure.subplots(
        2, len(tables), squeeze=False, height_ratios=(3, 1), sharex=True
    )
    for (top, below), (name, predictions) in zip(
        axes.T, tables.items(), strict=True
    ):
        error = metrics.calibration_error(predictions)
        rows = reliability_bins(predictions)
        x = 100 * np.array([row["confidence"] for row in rows])
        y = 100 * np.array([row["accuracy"] for row in rows])
        low = 100 * np.array([row["accuracy_low"] for row in rows])
        high = 100 * np.array([row["accuracy_high"] for row in rows])
        top.plot(
            [0, 100],
            [0, 100],
            ":",
            color="grey",
            label="as sure as right; below: too sure",
        )
        # Wilson's interval holds the share but for rounding at 0 and 1.
        top.errorbar(
            x,
            y,
            np.maximum([y - low, high - y], 0),
            fmt="o",
            markersize=4,
            capsize=2,
            label="this model, 95 % interval",
        )
        top.set_title(f"{name}: calibration error {error:.1%}", fontsize=10)
        top.set_ylabel("answers that are right, %")
        top.set_xlim(0, 100)
        top.set_ylim(0, 103)
        top.grid(alpha=0.3)
        below.bar(
            [100 * row["low"] for row in rows],
            [row["images"] for row in rows],
            100 / 15,
            align="edge",
            color="#7fa8d0",
            edgecolor="white",
        )
        below.set_ylabel("photos")
        below.set_xlabel("probability of the answer, %")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside lower center",
        fontsize=8,
    )
    drawing.save(figure, path_out)
