"""How far could every number be off with other test photos?"""

import warnings

import numpy as np
from scipy.stats import DegenerateDataWarning
from scipy.stats import bootstrap

from mamc_keras.evaluation import metrics
from mamc_keras.evaluation.retrieval import retrieval_values

RESAMPLES = 1000


def photo_values(predictions):
    """What each photo adds to the measures that are means over photos.

    Args:
        predictions: `Predictions`.

    Returns:
        dict of float64 arrays `(n,)`: `top1`, `top5` with more than five
        classes, `nll`, `brier`, and those of `retrieval_values`; NaN where a
        photo does not count.
    """
    probabilities = predictions.probabilities
    labels = predictions.labels
    order = np.argsort(-predictions.logits, axis=1, kind="stable")
    hits = order == labels[:, None]
    values = {"top1": hits[:, 0].astype(float)}
    if len(predictions.class_names) > 5:
        values["top5"] = hits[:, :5].any(axis=1).astype(float)
    values["nll"] = metrics.photo_losses(predictions)
    errors = probabilities.copy()
    errors[np.arange(len(labels)), labels] -= 1
    values["brier"] = np.square(errors).sum(axis=1)
    return values | retrieval_values(predictions.embeddings, labels)


def intervals(predictions, values=None, level=0.95, seed=0):
    """Bootstrap intervals of every measure, over the photos.

    Photos are drawn with replacement, the same ones for all measures, and
    the percentiles of the resampled measures are taken. A photo keeps its
    neighbours: recall and the like are resampled over the queries only.

    Args:
        predictions: `Predictions`.
        values: dict of `photo_values`, or `None` to compute it.
        level: float in `(0, 1)`.
        seed: int.

    Returns:
        dict from each measure to `(low, high)`, two floats. Measures that
        are NaN have no interval.

    Raises:
        ValueError: with fewer than two photos, or a level that is none.

    Reference:

    - [Efron and Tibshirani, 1993](https://doi.org/10.1201/9780429246593)
    """
    if len(predictions) < 2 or not 0 < level < 1:
        raise ValueError(
            "An interval needs photos to draw from. Received: "
            f"{len(predictions)} photos and level={level}. Give two photos "
            "or more and a level such as 0.95."
        )
    values = photo_values(predictions) if values is None else values
    values = {k: v for k, v in values.items() if np.isfinite(v).any()}
    table = np.stack(list(values.values()))
    counted = np.isfinite(table)
    table = np.where(counted, table, 0.0)
    classes = len(predictions.class_names)
    right = predictions.predicted == predictions.labels
    bins = metrics.confidence_bins(predictions)
    gaps = right - predictions.probabilities.max(axis=1)
    labels, photos = predictions.labels, len(predictions)

    def measure(drawn):
        counts = np.bincount(drawn, minlength=photos)
        queries = counted @ counts
        means = table @ counts / np.where(queries > 0, queries, np.nan)
        own = np.bincount(labels, counts, classes)
        hits = np.bincount(labels, counts * right, classes)
        macro = (hits[own > 0] / own[own > 0]).mean()
        ece = np.abs(np.bincount(bins, counts * gaps)).sum() / photos
        return [*means, macro, ece]

    def measures(drawn, axis):
        rows = np.moveaxis(drawn, axis, -1).reshape(-1, photos)
        found = np.array([measure(row.astype(int)) for row in rows]).T
        return found.reshape(-1, *drawn.shape[:-1])

    with warnings.catch_warnings():
        # A resample without a query, in very small sets, is left out below.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        found = bootstrap(
            (np.arange(photos),),
            measures,
            n_resamples=RESAMPLES,
            batch=50,
            confidence_level=level,
            method="percentile",
            rng=np.random.default_rng(seed),
        )
    samples = found.bootstrap_distribution
    tail = 100 * (1 - level) / 2
    low, high = np.nanpercentile(samples, [tail, 100 - tail], axis=-1)
    names = (*values, "macro", "ece")
    return {
        name: (float(a), float(b))
        for name, a, b in zip(names, low, high, strict=True)
    }
