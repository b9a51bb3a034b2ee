"""The metric losses that MAMC is compared with, on the same embeddings.

Each takes labels `(B,)` and embeddings `(B, P, D)`, joins the branches to one
unit vector an image, as recall@k does, and is a mean over images or pairs, so
that one weight suits all. An image without a positive or a negative adds 0.
"""

import keras
from keras import ops


def unit_vectors(embeddings):
    """Joins the branches, each of length 1: `(B, P, D) -> (B, P D)`."""
    x = ops.normalize(embeddings, axis=-1)
    flat = ops.reshape(x, (-1, x.shape[1] * x.shape[2]))
    return ops.normalize(flat, axis=-1)


def pair_masks(labels):
    """Booleans `(B, B)`: same class but not the same image, other class."""
    labels = ops.reshape(labels, (-1,))
    same = ops.equal(labels[:, None], labels[None, :])
    index = ops.arange(ops.shape(labels)[0])
    itself = ops.equal(index[:, None], index[None, :])
    return same & ~itself, ~same


def mean_where(values, mask):
    """Mean of the chosen values; 0, value and gradient, when there is none."""
    count = ops.sum(ops.cast(mask, values.dtype))
    return ops.sum(ops.where(mask, values, 0.0)) / ops.maximum(count, 1.0)


def squared_distances(x):
    """`|x_i - x_j|^2` of unit vectors: `(B, B)`."""
    return ops.maximum(2.0 - 2.0 * ops.matmul(x, ops.transpose(x)), 0.0)


def distances(x):
    # The root has no slope at 0, where an image meets itself or its copy.
    return ops.sqrt(squared_distances(x) + 1e-12)


class RivalLoss(keras.losses.Loss):
    """A loss of a whole batch: `call` gives a scalar."""

    def call(self, y_true, y_pred):
        x = unit_vectors(ops.convert_to_tensor(y_pred))
        return self.batch_loss(x, *pair_masks(y_true))


@keras.saving.register_keras_serializable(package="mamc_keras_benchmarks")
class ContrastivePairs(RivalLoss):
    """Same class near, other class at least `margin` away.

    Reference: [Hadsell et al., 2006], equation 4, mean over either kind.
    """

    margin = 1.0

    def batch_loss(self, x, positives, negatives):
        gap = ops.relu(self.margin - distances(x))
        near = mean_where(squared_distances(x), positives)
        return 0.5 * (near + mean_where(ops.square(gap), negatives))


@keras.saving.register_keras_serializable(package="mamc_keras_benchmarks")
class BatchHardTriplet(RivalLoss):
    """The furthest of the class nearer than the nearest other by `margin`.

    Reference: [Hermans et al., 2017](https://arxiv.org/abs/1703.07737),
    equation 5.
    """

    margin = 0.2

    def batch_loss(self, x, positives, negatives):
        d = distances(x)
        furthest = ops.max(ops.where(positives, d, float("-inf")), axis=1)
        nearest = ops.min(ops.where(negatives, d, float("inf")), axis=1)
        usable = ops.any(positives, axis=1) & ops.any(negatives, axis=1)
        gap = ops.where(usable, furthest - nearest, -self.margin)
        return mean_where(ops.relu(self.margin + gap), usable)


@keras.saving.register_keras_serializable(package="mamc_keras_benchmarks")
class NPair(RivalLoss):
    """One N-pair term on the joined vector, cosine / 0.1.

    Reference: [Sohn, 2016](https://papers.nips.cc/paper/6200), equation 5.
    """

    temperature = 0.1

    def batch_loss(self, x, positives, negatives):
        s = ops.matmul(x, ops.transpose(x)) / self.temperature
        has_negative = ops.any(negatives, axis=1, keepdims=True)
        score = ops.where(negatives | ~has_negative, s, float("-inf"))
        score = ops.logsumexp(score, axis=1, keepdims=True)
        usable = positives & has_negative
        return mean_where(ops.softplus(score - s), usable)


@keras.saving.register_keras_serializable(package="mamc_keras_benchmarks")
class Angular(RivalLoss):
    """Angle at the negative below `alpha` = 45 degrees.

    Reference: [Wang et al., 2017](https://arxiv.org/abs/1708.01682),
    equation 8: `f = 4 tan^2(alpha) (a + p).n - 2 (1 + tan^2(alpha)) a.p`.
    """

    tan2 = 1.0

    def batch_loss(self, x, positives, negatives):
        s = ops.matmul(x, ops.transpose(x))
        # [a, p, n]: the sum of the anchor's and the positive's products.
        both = 4.0 * self.tan2 * (s[:, None, :] + s[None, :, :])
        both -= 2.0 * (1.0 + self.tan2) * s[:, :, None]
        # A positive has the anchor's class, hence the same negatives.
        usable = positives & ops.any(negatives, axis=1)[:, None]
        mask = negatives[:, None, :] | ~usable[:, :, None]
        score = ops.logsumexp(ops.where(mask, both, float("-inf")), axis=2)
        return mean_where(ops.softplus(score), usable)


@keras.saving.register_keras_serializable(package="mamc_keras_benchmarks")
class SupervisedContrastive(RivalLoss):
    """Every positive against all other images of the batch.

    Reference: [Khosla et al., 2020](https://arxiv.org/abs/2004.11362),
    equation 2, temperature 0.1.
    """

    temperature = 0.1

    def batch_loss(self, x, positives, negatives):
        s = ops.matmul(x, ops.transpose(x)) / self.temperature
        others = positives | negatives
        lone = ~ops.any(others, axis=1, keepdims=True)
        score = ops.where(others | lone, s, float("-inf"))
        total = ops.logsumexp(score, axis=1, keepdims=True)
        count = ops.sum(ops.cast(positives, s.dtype), axis=1, keepdims=True)
        share = (total - s) / ops.maximum(count, 1.0)
        row = ops.sum(ops.where(positives, share, 0.0), axis=1)
        return mean_where(row, ops.any(positives, axis=1))


RIVALS = {
    "contrastive": ContrastivePairs,
    "triplet": BatchHardTriplet,
    "npair": NPair,
    "angular": Angular,
    "supcon": SupervisedContrastive,
}
