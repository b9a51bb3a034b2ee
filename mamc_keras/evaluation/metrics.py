"""Numbers that say how good a table of predictions is."""

import numpy as np
from sklearn.metrics import confusion_matrix
from sklearn.metrics import precision_recall_fscore_support


def summary(predictions, bins=15):
    """Computes every headline number of a set of predictions.

    Args:
        predictions: `Predictions`.
        bins: int. Bins of the calibration error.

    Returns:
        dict of float:

        - `top1`, `top5`: share of photos whose class is the first, or among
          the first five; `top5` only with more than five classes.
        - `macro`: mean over the classes present of their share recognised.
        - `nll`: mean negative log-likelihood, in nats.
        - `ece`: expected calibration error, the mean gap between confidence
          and accuracy over bins of equal width.
        - `brier`: mean over photos of the squared error of the probabilities,
          summed over classes; 0 is best, 2 is worst.

    Raises:
        ValueError: when there are no photos, or logits are not finite.
    """
    _check(predictions)
    measures = {"top1": top_k_accuracy(predictions, 1)}
    if len(predictions.class_names) > 5:
        measures["top5"] = top_k_accuracy(predictions, 5)
    return {
        **measures,
        "macro": macro_accuracy(predictions),
        "nll": negative_log_likelihood(predictions),
        "ece": calibration_error(predictions, bins),
        "brier": brier_score(predictions),
    }


def top_k_accuracy(predictions, k=1):
    """Share of photos whose class is among the `k` most probable.

    Of equal logits the first class counts as the more probable, as with
    argmax, so that a constant output does not score 100 %.

    Args:
        predictions: `Predictions`.
        k: int.

    Returns:
        float.
    """
    _check(predictions)
    order = np.argsort(-predictions.logits, axis=1, kind="stable")[:, :k]
    return float((order == predictions.labels[:, None]).any(axis=1).mean())


def macro_accuracy(predictions):
    """Mean recall of the classes that have photos; every class counts alike.

    Args:
        predictions: `Predictions`.

    Returns:
        float.
    """
    _check(predictions)
    return float(np.mean([row["recall"] for row in per_class(predictions)]))


def per_class(predictions):
    """What the model does with each class that has photos.

    Args:
        predictions: `Predictions`.

    Returns:
        list of dict with `class_name`, `images`, `recall`, `precision`, `f1`,
        worst recall first.
    """
    _check(predictions)
    present = np.unique(predictions.labels)
    precision, recall, f1, images = precision_recall_fscore_support(
        predictions.labels,
        predictions.predicted,
        labels=present,
        zero_division=0.0,
    )
    rows = [
        {
            "class_name": predictions.class_names[label],
            "images": int(images[i]),
            "recall": float(recall[i]),
            "precision": float(precision[i]),
            "f1": float(f1[i]),
        }
        for i, label in enumerate(present)
    ]
    return sorted(rows, key=lambda row: (row["recall"], row["precision"]))


def confusion(predictions):
    """Counts photos by true class (row) and predicted class (column).

    Args:
        predictions: `Predictions`.

    Returns:
        int array `(num_classes, num_classes)`.
    """
    _check(predictions)
    return confusion_matrix(
        predictions.labels,
        predictions.predicted,
        labels=np.arange(len(predictions.class_names)),
    )


def most_confused(predictions, count=10):
    """The pairs of classes that are mistaken for each other most often.

    Args:
        predictions: `Predictions`.
        count: int. How many pairs.

    Returns:
        list of `(true class name, predicted class name, photos)`, most
        photos first.
    """
    _check(predictions)
    wrong = predictions.labels != predictions.predicted
    pairs = np.stack([predictions.labels, predictions.predicted], axis=1)
    # Of the mistakes alone: a full matrix of 10,000 classes is 800 MB.
    pairs, photos = np.unique(pairs[wrong], axis=0, return_counts=True)
    order = np.argsort(-photos, kind="stable")[:count]
    names = predictions.class_names
    return [
        (names[pairs[i, 0]], names[pairs[i, 1]], int(photos[i])) for i in order
    ]


def negative_log_likelihood(predictions):
    """Mean of `-log(probability of the true class)`, in nats.

    Args:
        predictions: `Predictions`.

    Returns:
        float.
    """
    _check(predictions)
    return float(photo_losses(predictions).mean())


def photo_losses(predictions):
    """`-log(probability of the true class)` of each photo, in nats.

    Args:
        predictions: `Predictions`.

    Returns:
        float64 array `(n,)`.
    """
    logits = predictions.logits.astype(np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    # From the logits: a probability that rounds to 0 would give infinity.
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    rows = np.arange(len(predictions))
    return log_sum - shifted[rows, predictions.labels]


def calibration_error(predictions, bins=15):
    """Expected calibration error of the most probable class.

    Args:
        predictions: `Predictions`.
        bins: int. Bins of equal width over confidences from 0 to 1.

    Returns:
        float. `sum over bins of |accuracy - confidence| * share of photos`.

    Reference:

    - [Guo et al., 2017](https://arxiv.org/abs/1706.04599), equation 3
    """
    _check(predictions)
    confidence = predictions.probabilities.max(axis=1)
    correct = predictions.predicted == predictions.labels
    index = confidence_bins(predictions, bins)
    gaps = np.bincount(index, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(predictions))


def confidence_bins(predictions, bins=15):
    """The bin of each photo's largest probability.

    Args:
        predictions: `Predictions`.
        bins: int. Bins of equal width, open below and closed above.

    Returns:
        int array `(n,)`; confidence 1 is in the last bin, `bins - 1`.
    """
    confidence = predictions.probabilities.max(axis=1)
    return np.clip(np.ceil(confidence * bins) - 1, 0, bins - 1).astype(int)


def brier_score(predictions):
    """Squared error of the probabilities, summed over classes.

    Args:
        predictions: `Predictions`.

    Returns:
        float between 0 and 2, the mean over photos.
    """
    _check(predictions)
    errors = predictions.probabilities
    errors[np.arange(len(predictions)), predictions.labels] -= 1
    return float(np.square(errors).sum(axis=1).mean())


def _check(predictions):
    if not len(predictions):
        raise ValueError(
            "Nothing can be measured without photos. Received: predictions "
            "of 0 photos. Choose a split that has some."
        )
    if not np.isfinite(predictions.logits).all():
        bad = (~np.isfinite(predictions.logits)).any(axis=1).sum()
        raise ValueError(
            "The model gives values that are no numbers. Received: logits "
            f"with NaN or infinity for {bad} of {len(predictions)} photos. "
            "Its training diverged; train again with a lower learning rate."
        )
