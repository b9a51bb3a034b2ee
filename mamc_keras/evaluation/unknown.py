"""Does a photo show one of the known classes at all?

Each score says how well known a photo is: low for photos of something else.
Everything here is NumPy, so that a phone can compute what Keras does.
"""

import math

import numpy as np

from mamc_keras.evaluation.retrieval import normalised


def max_probability(logits):
    """Probability of the most probable class, before any temperature.

    Args:
        logits: float array `(n, num_classes)`.

    Returns:
        float64 array `(n,)`, above 0 and up to 1.

    Reference:

    - [Hendrycks and Gimpel, 2017](https://arxiv.org/abs/1610.02136)
    """
    logits = np.asarray(logits, np.float64)
    return np.exp(logits.max(axis=1) - energy(logits))


def energy(logits):
    """The negative free energy, `log(sum of exp(logits))`.

    Args:
        logits: float array `(n, num_classes)`.

    Returns:
        float64 array `(n,)`, in nats.

    Reference:

    - [Liu et al., 2020](https://arxiv.org/abs/2010.03759)
    """
    logits = np.asarray(logits, np.float64)
    top = logits.max(axis=1)
    return top + np.log(np.exp(logits - top[:, None]).sum(axis=1))


def class_prototypes(embeddings, labels, num_classes):
    """The mean direction of each class's training photos.

    Args:
        embeddings: float array `(n, num_attentions, embedding_dim)`.
        labels: int array `(n,)`.
        num_classes: int, `K`.

    Returns:
        float32 array `(K, num_attentions * embedding_dim)` of unit vectors;
        zeros for a class without photos, which is then near to nothing.

    Raises:
        ValueError: when there is not one label for each photo.
    """
    vectors, labels = normalised(embeddings), np.asarray(labels)
    if labels.shape != (len(vectors),):
        raise ValueError(
            "Each photo has one label and one row of embeddings. Received: "
            f"embeddings {np.shape(embeddings)} and labels {labels.shape}. "
            "Give both of the same photos."
        )
    sums = np.zeros((num_classes, vectors.shape[1]), np.float64)
    np.add.at(sums, labels, vectors)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return (sums / np.maximum(lengths, 1e-12)).astype(np.float32)


def nearest_prototype(embeddings, prototypes):
    """Cosine to the nearest class, of the vectors that recall@1 compares.

    Args:
        embeddings: float array `(n, num_attentions, embedding_dim)`.
        prototypes: float array `(K, num_attentions * embedding_dim)` from
            `class_prototypes`.

    Returns:
        float32 array `(n,)`, from -1 to 1.

    Raises:
        ValueError: when the prototypes are of another size.
    """
    vectors = normalised(embeddings)
    if np.ndim(prototypes) != 2 or prototypes.shape[1] != vectors.shape[1]:
        raise ValueError(
            "Prototypes and embeddings are of one model. Received: embeddings "
            f"{np.shape(embeddings)} and prototypes {np.shape(prototypes)}. "
            "Give the prototypes of this model."
        )
    return (vectors @ np.asarray(prototypes, np.float32).T).max(axis=1)


def threshold_at(scores, false_alarm_rate=0.05):
    """The score under which a photo is perhaps of none of the classes.

    It is the k-th lowest score with `k = floor(rate * (n + 1))`: of further
    photos of the known classes at most that share lies under it, on average
    over all draws of `n` photos, whatever the scores are.

    Args:
        scores: float array `(n,)` of photos of known classes that were not
            trained on.
        false_alarm_rate: float in `(0, 1)`. Share of photos of known classes
            that may be called unknown.

    Returns:
        float. Scores below it are unknown.

    Raises:
        ValueError: on a rate that is none, scores that are no numbers, or
            fewer than `1 / rate - 1` photos.

    Reference:

    - [Vovk et al., 2005](https://doi.org/10.1007/b106715), conformal
      prediction
    """
    scores = np.sort(np.asarray(scores, np.float64))
    if not 0 < false_alarm_rate < 1 or not np.isfinite(scores).all():
        raise ValueError(
            "A threshold needs finite scores and a rate between 0 and 1. "
            f"Received: {len(scores)} scores and false_alarm_rate="
            f"{false_alarm_rate}. 0.05 calls 1 of 20 known photos unknown."
        )
    # 0.05 * 20 is a little less than 1 in some roundings of such products.
    place = math.floor(false_alarm_rate * (len(scores) + 1) + 1e-9)
    if place < 1:
        raise ValueError(
            "Too few photos for so low a rate of false alarms. Received: "
            f"{len(scores)} scores and false_alarm_rate={false_alarm_rate}. "
            f"Give {math.ceil(1 / false_alarm_rate) - 1} or more photos, or a "
            "higher rate."
        )
    return float(scores[place - 1])


def separation(known, unknown, accepted=0.95):
    """How well a score tells photos of known classes from others.

    Args:
        known: float array of the scores of photos of known classes.
        unknown: float array of the scores of other photos.
        accepted: float. Share of the known photos that must pass.

    Returns:
        Two floats: the area under the ROC curve (0.5 is chance), and the
        share of unknown photos that pass with that share of the known ones.
    """
    from sklearn.metrics import roc_auc_score
    from sklearn.metrics import roc_curve

    scores = np.concatenate([known, unknown])
    is_known = np.repeat([1, 0], [len(known), len(unknown)])
    passed_unknown, passed_known, _ = roc_curve(
        is_known, scores, drop_intermediate=False
    )
    first = np.searchsorted(passed_known, accepted)
    return (
        float(roc_auc_score(is_known, scores)),
        float(passed_unknown[first]),
    )
