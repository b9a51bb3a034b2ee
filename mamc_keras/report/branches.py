"""Do the branches differ: in what they see, say, and look at?"""

import dataclasses

import numpy as np

from mamc_keras.evaluation.overlays import share_elsewhere

PHOTOS = 64  # whose maps are compared


@dataclasses.dataclass(frozen=True)
class Branches:
    """How the branches behave on the measured photos.

    Args:
        alone: list of float, the share of photos that each branch names right
            when the others are taken out.
        together: float, the share that all of them name right.
        agree: float, share of photos on which all branches alone say the same.
        cosine: float, mean cosine between the embeddings of two branches.
        elsewhere: float, part of the attention that two branches do not
            share, or `None` without photos.
    """

    alone: list
    together: float
    agree: float
    cosine: float
    elsewhere: float | None


def branch_behaviour(model, predictions, photos=None):
    """Measures the branches one by one.

    The classifier is linear in the concatenated embeddings, so a branch alone
    is its own rows of the kernel, with the bias of all.

    Args:
        model: `MAMCImageClassifier`.
        predictions: its `Predictions`.
        photos: uint8 array `(n, height, width, 3)`, or `None`.

    Returns:
        `Branches`; `None` for a classifier with fewer than two branches.
    """
    count = predictions.embeddings.shape[1]
    if not model.num_attentions or count < 2:
        return None
    kernel, bias = model.output_dense.get_weights()
    rows = np.split(kernel.astype(np.float32), count)
    answers = np.stack(
        [
            (predictions.embeddings[:, p] @ rows[p] + bias).argmax(axis=1)
            for p in range(count)
        ]
    )
    right = answers == predictions.labels
    elsewhere = None
    if photos is not None and len(photos):
        elsewhere = float(share_elsewhere(model.attend(photos)).mean())
    return Branches(
        [float(share) for share in right.mean(axis=1)],
        float((predictions.predicted == predictions.labels).mean()),
        float((answers == answers[0]).all(axis=0).mean()),
        branch_cosine(predictions.embeddings),
        elsewhere,
    )


def branch_cosine(embeddings):
    """Measures how alike the embeddings of an image's branches are.

    Args:
        embeddings: float array `(n, P, D)`.

    Returns:
        float, the mean cosine between two branches of the same image; NaN
        with one branch.
    """
    count = embeddings.shape[1]
    if count < 2:
        return float("nan")
    lengths = np.linalg.norm(embeddings, axis=-1, keepdims=True)
    unit = embeddings / np.maximum(lengths, 1e-12)
    cosines = unit @ unit.swapaxes(1, 2)
    return float(cosines[:, ~np.eye(count, dtype=bool)].mean())


def in_words(found):
    """Says what the numbers mean.

    Args:
        found: `Branches`.

    Returns:
        list of str.
    """
    shares = " and ".join(f"{share:.1%}" for share in found.alone)
    said = [
        f"Alone the branches name {shares} of the photos right, together "
        f"{found.together:.1%}. In {found.agree:.0%} of the photos they all "
        "say the same."
    ]
    if found.cosine > 0.8:
        said.append(
            "Their embeddings are nearly the same (cosine "
            f"{found.cosine:.2f}): one branch would do."
        )
    else:
        said.append(
            f"Their embeddings differ (cosine {found.cosine:.2f}; 1 would be "
            "the same)."
        )
    if found.elsewhere is not None:
        part = f"{found.elsewhere:.0%} of the attention"
        if found.elsewhere < 0.1:
            said.append(
                f"They look at much the same place: only {part} of one branch "
                "lies where the other does not look. What differs is what "
                "they read there."
            )
        else:
            said.append(f"They look at different places: {part} differs.")
    return said
