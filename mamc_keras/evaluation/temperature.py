"""How much is a probability worth? One temperature, from validation photos."""

import math

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

COLDEST, HOTTEST = 0.05, 20.0


def fit_temperature(logits, labels):
    """Finds the temperature that makes validation photos most likely.

    The probabilities are then `softmax(logits / temperature)`. The order of
    the classes stays, so no answer changes, only how sure it sounds.

    Args:
        logits: float array `(n, num_classes)` of photos that were not trained
            on.
        labels: int array `(n,)`.

    Returns:
        float from 0.05 to 20; above 1 the classifier was too sure. 1 when
        every photo is right: the likelihood then has no maximum, it would
        make every answer certain.

    Raises:
        ValueError: when the arrays do not fit together, hold no photo, or are
            not finite.

    Reference:

    - [Guo et al., 2017](https://arxiv.org/abs/1706.04599), section 4.2
    """
    logits, labels = _checked(logits, labels)
    # Relative to the true class: its negative log-likelihood is then the
    # logarithm of a sum of exponentials alone.
    margins = logits - logits[np.arange(len(labels)), labels][:, None]
    if margins.max() <= 0:
        return 1.0

    def loss(log_temperature):
        scaled = margins / math.exp(log_temperature)
        return logsumexp(scaled, axis=1).mean()

    # Convex in 1 / temperature, so there is one minimum to find.
    found = minimize_scalar(
        loss,
        bounds=(math.log(COLDEST), math.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return math.exp(found.x)


def _checked(logits, labels):
    logits = np.asarray(logits, np.float64)
    labels = np.asarray(labels)
    if (
        logits.ndim != 2
        or labels.shape != (len(logits),)
        or not logits.size
        or labels.min() < 0
        or labels.max() >= logits.shape[1]
    ):
        raise ValueError(
            "A temperature needs one row of logits and one label for each "
            f"photo. Received: logits {logits.shape} and labels "
            f"{labels.shape}. Give both of the same photos, at least one."
        )
    if not np.isfinite(logits).all():
        raise ValueError(
            "A temperature cannot be fitted to values that are no numbers. "
            "Received: logits with NaN or infinity. The training diverged; "
            "train again with a lower learning rate."
        )
    return logits, labels
