"""The formulas of the paper in plain Python: loops, math.exp and math.log.

Everything is a list of floats (64 bits), one pair and one number at a time.
Nothing here is shared with the package, the order of loops included.
"""

import math
from dataclasses import dataclass

TERMS = ("sasc", "sadc", "dasc")


@dataclass(frozen=True)
class Conventions:
    """What the formula leaves open; see `mamc_terms`."""

    normalize: bool = True
    temperature: float | None = None
    positives: str = "mean"
    normalizer: str = "anchors"

    @property
    def divisor(self):
        if self.temperature is not None:
            return self.temperature
        return 0.1 if self.normalize else 1.0


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def norm(a):
    return math.sqrt(dot(a, a))


def chosen_sets(term, labels, i, p, weights, num_attentions):
    """Lists positives and negatives (j, q) of the anchor (i, p)."""
    positives, negatives = [], []
    for j in range(len(labels)):
        if weights[j] == 0:
            continue
        for q in range(num_attentions):
            if (j, q) == (i, p):
                continue
            if labels[j] == labels[i]:
                kind = "sasc" if q == p else "dasc"
            else:
                kind = "sadc" if q == p else "dadc"
            if kind == term:
                positives.append((j, q))
            elif kind == "dadc" or term == "sasc":
                negatives.append((j, q))
    return positives, negatives


def mamc(labels, embeddings, weights=None, anchors=None, **conventions):
    """Value and gradient of the three terms.

    Args:
        labels: list of B numbers.
        embeddings: list of B lists of P lists of D floats.
        weights: list of B floats or `None`.
        anchors: list of image rows or `None`.
        **conventions: see `Conventions`.

    Returns:
        dict term -> (value, gradient), the gradient shaped like embeddings.
    """
    options = Conventions(**conventions)
    size, num_attentions = len(labels), len(embeddings[0])
    if weights is None:
        weights = [1.0] * size
    if anchors is None:
        anchors = range(size)
    used = [[list(f) for f in image] for image in embeddings]
    if options.normalize:
        used = [[unit(f) for f in image] for image in used]
    images = sum(1 for weight in weights if weight != 0)
    if options.normalizer == "anchors":
        normalizer = images * num_attentions
    else:
        normalizer = images / 2

    result = {}
    for term in TERMS:
        value = 0.0
        slopes = [[[0.0] * len(f) for f in image] for image in used]
        for i in anchors:
            for p in range(num_attentions):
                positives, negatives = chosen_sets(
                    term, labels, i, p, weights, num_attentions
                )
                if not positives or not negatives or weights[i] == 0:
                    continue
                share = weights[i] / normalizer
                if options.positives == "mean":
                    share /= len(positives)
                for positive in positives:
                    args = used, slopes, (i, p), positive, negatives
                    loss = one_positive(*args, options.divisor, share)
                    value += share * loss
        if options.normalize:
            slopes = [
                [unit_slope(f, g) for f, g in zip(*pair, strict=True)]
                for pair in zip(embeddings, slopes, strict=True)
            ]
        result[term] = value, slopes
    return result


def one_positive(used, slopes, anchor, positive, negatives, divisor, share):
    """`log(1 + sum exp(s_n - s_p))`; adds its gradient to `slopes`."""

    def embedding(place):
        return used[place[0]][place[1]]

    def score(place):
        return dot(embedding(anchor), embedding(place)) / divisor

    terms = [math.exp(score(n) - score(positive)) for n in negatives]
    total = 1.0 + sum(terms)
    # d/ds_n = exp(s_n - s_p) / total and d/ds_p = -sum of the same.
    moves = [(n, t / total) for n, t in zip(negatives, terms, strict=True)]
    moves.append((positive, -sum(terms) / total))
    for place, slope in moves:
        slope *= share / divisor
        for d in range(len(embedding(anchor))):
            slopes[anchor[0]][anchor[1]][d] += slope * embedding(place)[d]
            slopes[place[0]][place[1]][d] += slope * embedding(anchor)[d]
    return math.log(total)


def unit(f):
    length = norm(f)
    return [x / length for x in f] if length > 0 else list(f)


def unit_slope(f, slope):
    """Gradient through `f / |f|`."""
    length = norm(f)
    if length == 0:
        return list(slope)
    along = dot(f, slope) / length**2
    return [(g - along * x) / length for x, g in zip(f, slope, strict=True)]


def sigmoid(x):
    return 1.0 / (1.0 + math.exp(-x))


def osme(features, branches, grid_size):
    """Section 3.1 for one image.

    Args:
        features: list of h lists of w lists of C floats.
        branches: list of P dicts with nested lists `w1` (C, hidden), `b1`,
            `w2` (hidden, C), `b2`, `w3` (cells * C, D), `b3`.
        grid_size: int or `None`.

    Returns:
        tuple of embeddings (P, D), gates (P, C), attention maps (P, h, w).
    """
    height, width = len(features), len(features[0])
    channels = len(features[0][0])
    squeezed = [
        sum(features[y][x][c] for y in range(height) for x in range(width))
        / (height * width)
        for c in range(channels)
    ]
    embeddings, gates, maps = [], [], []
    for branch in branches:
        hidden = [
            max(0.0, value) for value in dense(squeezed, branch, "w1", "b1")
        ]
        gate = [sigmoid(value) for value in dense(hidden, branch, "w2", "b2")]
        excited = [
            [[gate[c] * u[c] for c in range(channels)] for u in row]
            for row in features
        ]
        positive = [
            [[max(0.0, value) for value in u] for u in row] for row in excited
        ]
        maps.append([[sum(u) / channels for u in row] for row in positive])
        if grid_size is None:
            cells = excited
        else:  # the excited map is pooled: the layer does it before
            cells = adaptive_pool(excited, grid_size)
        vector = [value for row in cells for cell in row for value in cell]
        embeddings.append(dense(vector, branch, "w3", "b3"))
        gates.append(gate)
    return embeddings, gates, maps


def dense(x, branch, kernel, bias):
    return [
        branch[bias][k]
        + sum(x[n] * branch[kernel][n][k] for n in range(len(x)))
        for k in range(len(branch[bias]))
    ]


def adaptive_pool(image, grid_size):
    """Cell i averages rows floor(i h / g) .. ceil((i + 1) h / g) - 1."""
    height, width, channels = len(image), len(image[0]), len(image[0][0])

    def bounds(i, size):
        first = math.floor(i * size / grid_size)
        return range(first, math.ceil((i + 1) * size / grid_size))

    return [
        [
            [
                sum(
                    image[y][x][c]
                    for y in bounds(row, height)
                    for x in bounds(column, width)
                )
                / (len(bounds(row, height)) * len(bounds(column, width)))
                for c in range(channels)
            ]
            for column in range(grid_size)
        ]
        for row in range(grid_size)
    ]
