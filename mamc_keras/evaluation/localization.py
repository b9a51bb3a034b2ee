"""Do the attention branches look at the object, and at different parts?"""

import numpy as np


def to_view(points, photo_size, image_size, crop_to_aspect_ratio):
    """Moves points of a photo to the view that the network sees.

    Args:
        points: float array `(..., 2)`, x and y in pixels of the photo.
        photo_size: float array of two, height and width in pixels.
        image_size: two ints, height and width of the view in pixels.
        crop_to_aspect_ratio: bool. Whether the view is the photo's centre or
            the squeezed whole.

    Returns:
        float array `(..., 2)`, x and y as parts of the view's width and
        height: inside from 0 to 1, outside when they were cropped away.
    """
    size = np.asarray(photo_size, float)[::-1]
    shown = size
    if crop_to_aspect_ratio:
        view = np.asarray(image_size, float)[::-1]
        shown = view * np.min(size / view)
    return (np.asarray(points, float) - (size - shown) / 2) / shown


def peaks(maps):
    """Finds where each map is highest.

    Args:
        maps: array `(n, P, h, w)` from `attend`.

    Returns:
        float array `(n, P, 2)`: the centre of the highest cell, x and y as
        parts of the width and height.
    """
    n, branches, h, w = maps.shape
    cell = maps.reshape(n, branches, h * w).argmax(axis=-1)
    return np.stack([(cell % w + 0.5) / w, (cell // w + 0.5) / h], axis=-1)


def near(points, parts, radius):
    """Tells which parts a point is near to.

    Args:
        points: float array `(n, P, 2)` from `peaks`.
        parts: float array `(n, parts, 2)` from `to_view`; NaN where a part
            is not visible.
        radius: float, as a part of the view's side.

    Returns:
        Two arrays: bool `(n, P, parts)`, and bool `(n, parts)`, which parts
        are inside the view at all.
    """
    inside = ((parts >= 0) & (parts <= 1)).all(axis=-1)
    distance = np.linalg.norm(points[:, :, None] - parts[:, None], axis=-1)
    return (distance <= radius) & inside[:, None], inside


def hit_rates(points, parts, radius, seed=0, rounds=20):
    """How often the peaks meet each part, and how often by chance.

    Chance is the same peaks over the parts of other photos: it knows where
    photographers put a bird, but not where this one is.

    Args:
        points: float array `(n, P, 2)` from `peaks`.
        parts: float array `(n, parts, 2)`, NaN where not visible.
        radius: float, as a part of the view's side.
        seed: int. Decides which other photos.
        rounds: int. Number of such pairings.

    Returns:
        Two float arrays `(P, parts)`: shares of the photos in which the part
        is inside the view.
    """
    rng = np.random.default_rng(seed)
    hits, inside = near(points, parts, radius)
    count = np.maximum(inside.sum(axis=0), 1)
    chance = np.zeros(hits.shape[1:])
    for _ in range(rounds):
        # A shift of a shuffled order: nobody is paired with itself.
        order = rng.permutation(len(points))
        other = np.empty_like(order)
        other[order] = np.roll(order, rng.integers(1, len(order)))
        chance += near(points[other], parts, radius)[0].sum(axis=0)
    return hits.sum(axis=0) / count, chance / rounds / count


def inside_boxes(points, boxes):
    """Pointing game: shares of the peaks that lie inside the object's box.

    Args:
        points: float array `(n, P, 2)` from `peaks`.
        boxes: float array `(n, 4)`: left, top, right, bottom as parts of the
            view.

    Returns:
        bool array `(n, P)`.
    """
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    return ((points >= low) & (points <= high)).all(axis=-1)


def energy_inside(maps, boxes):
    """The part of each map's positive values that lies in the object's box.

    A cell that the box's edge cuts counts by the part of it that is inside.

    Args:
        maps: array `(n, P, h, w)`; values below zero count as zero.
        boxes: float array `(n, 4)`: left, top, right, bottom as parts of the
            view.

    Returns:
        float64 array `(n, P)`, 0..1; 0 for a map without positive values.

    Reference:

    - [Wang et al., 2020](https://arxiv.org/abs/1910.01279), section 4.3
    """
    positive = np.maximum(np.asarray(maps, np.float64), 0)
    boxes = np.asarray(boxes, np.float64)
    across = _covered(boxes[:, 0], boxes[:, 2], positive.shape[3])
    down = _covered(boxes[:, 1], boxes[:, 3], positive.shape[2])
    inside = np.einsum("nphw,nh,nw->np", positive, down, across)
    total = positive.sum(axis=(2, 3))
    return np.where(total > 0, inside / np.where(total > 0, total, 1), 0.0)


def _covered(low, high, cells):
    """The part of each of `cells` cells from `low` to `high`: `(n, cells)`."""
    edges = np.arange(cells + 1) / cells
    first = np.maximum(low[:, None], edges[:-1])
    last = np.minimum(high[:, None], edges[1:])
    return np.maximum(last - first, 0) * cells


def likeness(maps):
    """How alike the maps of two branches are on the same photo.

    Args:
        maps: array `(n, P, h, w)` from `attend`, `P` at least 2.

    Returns:
        Two floats, means over photos and pairs of branches: the correlation
        over the positions, and the share with the same highest cell.

    Raises:
        ValueError: with one branch.
    """
    n, branches = maps.shape[:2]
    if branches < 2:
        raise ValueError(
            "Branches are compared in pairs. Received: maps of "
            f"{branches} branch. Use a model with num_attentions=2 or more."
        )
    flat = maps.reshape(n, branches, -1).astype(np.float64)
    centred = flat - flat.mean(axis=-1, keepdims=True)
    length = np.linalg.norm(centred, axis=-1, keepdims=True)
    unit = centred / np.maximum(length, 1e-12)
    top = flat.argmax(axis=-1)
    first, second = np.triu_indices(branches, 1)
    correlation = (unit[:, first] * unit[:, second]).sum(axis=-1).mean()
    return float(correlation), float((top[:, first] == top[:, second]).mean())
