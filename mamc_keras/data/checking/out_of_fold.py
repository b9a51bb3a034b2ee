"""What a simple model says about photos that it has not learned from.

Linear discriminant analysis on the features of a frozen network: class means,
one covariance for all classes, no training loop. Of errors planted in three
real sets it ranked as many first as the best of the others tried (class means
alone, logistic and ridge regression, nearest neighbours; average precision
within 0.02), in seconds, and 10,000 classes only make the matrices larger.
"""

import dataclasses

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.special import softmax

from mamc_keras.data.batches.class_similarity import class_prototypes

FOLDS = 10
SHRINKAGE = 0.5  # of the covariance, towards a multiple of the identity
BLOCK = 1024  # photos scored at once
SAMPLE = 2000  # photos that choose how sure the probabilities are


@dataclasses.dataclass(frozen=True, eq=False)
class Guesses:
    """What is said about each of `n` photos.

    Args:
        own: float array `(n,)`. Probability of the photo's own class, NaN
            for a photo that is not judged: without it, and without those of
            its group, its class has no photo left to learn from.
        other: int array `(n,)`. The most probable other class.
        probability: float array `(n,)`. Its probability, NaN as in `own`.
    """

    own: np.ndarray
    other: np.ndarray
    probability: np.ndarray


def guess_out_of_fold(features, labels, groups=None, seed=0):
    """Judges every photo by a model of the photos in other folds.

    Args:
        features: float array `(n, dim)`.
        labels: int array `(n,)`, from 0.
        groups: int array `(n,)`. Photos of one group, copies of each other,
            share a fold; by default each is a group of its own.
        seed: int. Deals the photos to folds.

    Returns:
        `Guesses`.
    """
    labels = np.asarray(labels, np.int64)
    rng = np.random.default_rng(seed)
    features = _normalised(features)
    parts = list(_models(features, labels, _deal(labels, groups, rng), rng))
    scale = _scale(
        [
            (_scores(features[rows], model), labels[rows])
            for rows, model in ((r[: SAMPLE // FOLDS], m) for r, m in parts)
        ]
    )
    own = np.full(len(labels), np.nan)
    other, probability = np.zeros(len(labels), np.int64), own.copy()
    for rows, model in parts:
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            shares = softmax(scale * _scores(features[block], model), axis=1)
            places = np.arange(len(block))
            own[block] = shares[places, labels[block]]
            shares[places, labels[block]] = 0
            other[block] = shares.argmax(axis=1)
            probability[block] = shares.max(axis=1)
    return Guesses(own, other, probability)


def _models(features, labels, folds, rng):
    """Yields each fold's photos, shuffled, and the model of the others."""
    num_classes = labels.max(initial=0) + 1
    moments = [
        _moments(features[folds == fold], labels[folds == fold], num_classes)
        for fold in range(FOLDS)
    ]
    total = [sum(parts) for parts in zip(*moments, strict=True)]
    for fold, parts in enumerate(moments):
        counts, *rest = [a - b for a, b in zip(total, parts, strict=True)]
        rows = np.flatnonzero((folds == fold) & (counts[labels] > 0))
        if len(rows):
            yield rng.permutation(rows), _discriminant(counts, *rest)


def _deal(labels, groups, rng):
    """Deals groups of photos to folds, each class as evenly as they allow."""
    if groups is None:
        groups = np.arange(len(labels))
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    order = rng.permutation(len(first))
    order = order[np.argsort(labels[first][order], kind="stable")]
    fold_of_group = np.empty(len(first), np.int64)
    fold_of_group[order] = np.arange(len(first)) % FOLDS
    return fold_of_group[group]


def _normalised(features):
    features = np.asarray(features, np.float32)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    features = features / np.maximum(lengths, 1e-12)
    # The model does not see this; the sums of products keep their digits.
    return features - features.mean(axis=0) if len(features) else features


def _moments(features, labels, num_classes):
    """Counts and sums of each class, and the sum of outer products."""
    counts = np.bincount(labels, minlength=num_classes)
    sums = class_prototypes(features, labels, num_classes)
    sums *= counts[:, None].astype(np.float32)
    return counts, sums, (features.T @ features).astype(np.float64)


def _discriminant(counts, sums, products):
    """Weights `(dim, num_classes)` and biases, -inf for an absent class."""
    means = sums.astype(np.float64) / np.maximum(counts, 1)[:, None]
    within = (products - (means * counts[:, None]).T @ means) / counts.sum()
    dim = len(within)
    # Photos without any spread would leave a matrix of zeros.
    spread = max(np.trace(within) / dim, 1e-9)
    within = (1 - SHRINKAGE) * within + SHRINKAGE * spread * np.eye(dim)
    weights = np.linalg.solve(within, means.T)
    biases = -0.5 * np.einsum("kd,dk->k", means, weights)
    biases[counts == 0] = -np.inf
    return weights.astype(np.float32), biases.astype(np.float32)


def _scores(features, model):
    weights, biases = model
    return features @ weights + biases


def _scale(sample):
    """The factor at which the given labels are most probable."""

    def cost(power):
        return -sum(
            log_softmax(np.exp(power) * scores, axis=1)[
                np.arange(len(labels)), labels
            ].sum()
            for scores, labels in sample
        )

    # From the same for every class to certainty.
    return np.exp(minimize_scalar(cost, bounds=(-9, 4), method="bounded").x)
