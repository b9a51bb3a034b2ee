"""What to do about classes of very uneven size."""

import numpy as np
from sklearn.utils.class_weight import compute_class_weight


def balanced_weights(class_counts):
    """Weights under which every class counts the same in an epoch.

    Args:
        class_counts: int array of shape `(num_classes,)`, training images.

    Returns:
        dict of class number to float, for `fit(class_weight=...)`. The mean
        over the images is 1; a class without images has weight 1.
    """
    counts = np.asarray(class_counts)
    present = np.flatnonzero(counts)
    labels = np.repeat(np.arange(len(counts)), counts)
    weights = dict.fromkeys(range(len(counts)), 1.0)
    found = compute_class_weight("balanced", classes=present, y=labels)
    weights.update(zip(present.tolist(), found.tolist(), strict=True))
    return weights


def logit_offsets(class_counts, tau):
    """`tau log(prior)` of each class, for `CrossEntropy`.

    Args:
        class_counts: int array of shape `(num_classes,)`, training images.
        tau: float, 0 or more. 1 trains for the mean of the classes'
            accuracies, 0 for the share of right answers.

    Returns:
        list of `num_classes` floats, or `None` when `tau` is 0. A class
        without images counts as one of a single image.

    Reference:

    - [Menon et al., 2021](https://arxiv.org/abs/2007.07314)
    """
    if not tau:
        return None
    counts = np.maximum(np.asarray(class_counts, float), 1.0)
    return (tau * np.log(counts / counts.sum())).tolist()
