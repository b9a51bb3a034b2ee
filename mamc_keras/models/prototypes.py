"""Rows of a classifier from a few embeddings of a class, without training.

With rows `w_k` of the trained classifier, their mean `w` and `a_k = w_k - w`:

- `d`, what sets the class apart, is the prototype (the mean embedding of its
  photos) less what all photos share. Known photos tell what that is;
  without them it is the part in which no `a_k` lies.
- The row is `w + s |a| d / |d|`, `|a|` the mean length of the `a_k`; longer
  where known photos are given and only a large bias would do instead.
- The bias is chosen so that a photo not seen yet gets, on average, the logit
  of its strongest rival among the old classes, plus `margin` less `FEW / n`:
  what few photos say is uncertain.

`s` and the margin come from training and validation photos of classes that
the network had not seen (docs/teach.md). Weight imprinting (Qi et al., 2018) is
the forerunner: there row and prototype are the same, without a bias.
"""

import numpy as np

SCALE = 0.7
MARGIN = 1.5  # logits
FEW = 2.0  # logits; the margin is smaller by this over the number of photos
# Before any photo is compared with another of its class, this share of what
# a photo's `d` is long is taken to be of its class. Weighs as 2 photos.
ALIKE = 0.65
WEIGHT = 2


def new_rows(kernel, bias, embeddings, known=None, margin=MARGIN):
    """Makes rows for new classes.

    Args:
        kernel: float array `(dim, K)` of the trained classifier.
        bias: float array `(K,)`.
        embeddings: list of float arrays `(n, dim)`, the photos of each new
            class, 1 or more.
        known: float array `(m, dim)`, photos of old classes, or `None`.
        margin: float, in logits. More finds more photos of new classes and
            loses more of old ones.

    Returns:
        `(columns, biases)`: float64 arrays `(dim, C)` and `(C,)`.
    """
    kernel = np.asarray(kernel, np.float64)
    classes = [np.asarray(part, np.float64) for part in embeddings]
    middle = kernel.mean(axis=1)
    apart = kernel - middle[:, None]
    usual = SCALE * np.linalg.norm(apart, axis=0).mean()
    own = [centred(part, apart, known) for part in classes]
    share = pooled_share(own)
    rivals = [(part @ kernel + bias).max(axis=1) for part in classes]
    every = np.mean([values.mean() for values in rivals])
    columns, biases = [], []
    for part, vectors, values in zip(classes, own, rivals, strict=True):
        count = len(part)
        d = vectors.mean(axis=0)
        length = np.linalg.norm(d)
        unit = d / max(length, 1e-12)
        # One photo's strongest rival is chance; all classes' weigh in.
        rival = (values.sum() + WEIGHT * every) / (count + WEIGHT)
        goal = rival + margin - FEW / count
        # Of the photos' own length, what is their class's and not theirs.
        kept = share / (share + (1 - share) / count)
        prototype = part.mean(axis=0)
        scale = usual
        if known is not None:
            # A bias as large as a strange photo's logits would win old ones.
            least = goal / max(kept * length, 1e-12)
            scale = max(usual, least)
        logit = prototype @ middle + scale * (
            kept * length + (prototype - d) @ unit
        )
        columns.append(middle + scale * unit)
        biases.append(goal - logit)
    return np.stack(columns, axis=1), np.array(biases)


def centred(embeddings, apart, known=None):
    """Takes out of embeddings what photos of all classes share.

    Args:
        embeddings: float64 array `(n, dim)`.
        apart: float64 array `(dim, K)`, the rows less their mean.
        known: float array `(m, dim)` or `None`.

    Returns:
        float64 array `(n, dim)`.
    """
    if known is not None:
        return embeddings - np.asarray(known, np.float64).mean(axis=0)
    basis, lengths, _ = np.linalg.svd(apart, full_matrices=False)
    basis = basis[:, lengths > 1e-6 * lengths[0]]
    return embeddings @ basis @ basis.T


def likeness(vectors):
    """How alike the photos of a class are.

    Args:
        vectors: float64 array `(n, dim)`, n >= 2, from `centred`.

    Returns:
        float: the mean product of two of them over the mean product of one
        with itself. 1 for equal ones, about 0 for photos of other classes.
    """
    count = len(vectors)
    products = vectors @ vectors.T
    alone = np.trace(products)
    others = (products.sum() - alone) / (count - 1)
    return others / max(alone, 1e-12)


def pooled_share(own):
    """`likeness` over all classes, with a prior for single photos.

    Args:
        own: list of float64 arrays `(n, dim)`.

    Returns:
        float in `[0.05, 1]`.
    """
    total, weight = WEIGHT * ALIKE, WEIGHT
    for vectors in own:
        if len(vectors) > 1:
            total += (len(vectors) - 1) * likeness(vectors)
            weight += len(vectors) - 1
    return float(np.clip(total / weight, 0.05, 1))
