"""Does the place that a map marks really matter? Hide it and look again.

The cells of a map with its highest values are covered with the photo's mean
colour. The same shape at other places is the comparison: hiding anything
changes an answer a little, hiding what mattered changes it more.
"""

import numpy as np

SHARE = 0.1
ROUNDS = 8


def top_cells(maps, share=SHARE):
    """Marks the highest cells of each map.

    Args:
        maps: float array `(n, h, w)`.
        share: float in `(0, 1)`. Part of the cells, at least one.

    Returns:
        bool array `(n, h, w)`, `round(share * h * w)` cells of each map; of
        equal cells the first, row by row.

    Raises:
        ValueError: on a share that leaves nothing, or maps that are none.
    """
    maps = np.asarray(maps, np.float64)
    if not 0 < share < 1 or maps.ndim != 3 or not np.isfinite(maps).all():
        raise ValueError(
            "The check hides a part of each photo. Received: "
            f"share={share} and maps {maps.shape}. Give a share between 0 "
            "and 1 and one map (h, w) of finite numbers for each photo."
        )
    n, h, w = maps.shape
    count = min(max(round(share * h * w), 1), h * w - 1)
    order = np.argsort(-maps.reshape(n, h * w), axis=1, kind="stable")
    marked = np.zeros((n, h * w), bool)
    np.put_along_axis(marked, order[:, :count], True, axis=1)
    return marked.reshape(n, h, w)


def hide(photos, cells):
    """Covers cells with the mean colour of each photo.

    Args:
        photos: array `(n, height, width, 3)`, values 0..255.
        cells: bool array `(n, h, w)`; a cell covers its part of the photo.

    Returns:
        float32 array `(n, height, width, 3)`.
    """
    photos = np.asarray(photos, np.float32)
    height, width = photos.shape[1:3]
    rows = np.arange(height) * cells.shape[1] // height
    columns = np.arange(width) * cells.shape[2] // width
    pixels = cells[:, rows][:, :, columns, None]
    return np.where(pixels, photos.mean(axis=(1, 2), keepdims=True), photos)


def moved(cells, rounds=ROUNDS, seed=0):
    """The same shapes at other places, around the edges where they must.

    Args:
        cells: bool array `(n, h, w)`.
        rounds: int. How many places for each photo, all different; fewer on
            a map that has fewer.
        seed: int. Chooses the places.

    Returns:
        bool array `(rounds, n, h, w)`.
    """
    n, h, w = cells.shape
    rng = np.random.default_rng(seed)
    rounds = min(rounds, h * w - 1)
    shifts = [
        # 0 is the place itself.
        1 + rng.choice(h * w - 1, rounds, replace=False)
        for _ in range(n)
    ]
    places = [
        [np.roll(mask, (s // w, s % w), (0, 1)) for s in own]
        for mask, own in zip(cells, shifts, strict=True)
    ]
    return np.array(places, bool).reshape(n, rounds, h, w).swapaxes(0, 1)


def scores(logits, best):
    """What the check follows: the lead of the answer, and its probability.

    Args:
        logits: float array `(n, num_classes)`, at least two classes.
        best: int array `(n,)`, the answer for the whole photo.

    Returns:
        Two float64 arrays `(n,)`: the logit of `best` less the highest other
        one, below 0 where the answer is another now, and the probability of
        `best`.
    """
    logits = np.asarray(logits, np.float64)
    rows = np.arange(len(logits))
    others = logits.copy()
    others[rows, best] = -np.inf
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (
        logits[rows, best] - others.max(axis=1),
        powers[rows, best] / powers.sum(axis=1),
    )


def occlusion(predict, photos, maps, share=SHARE, rounds=ROUNDS, seed=0):
    """Measures what hiding the highest cells of a map changes.

    Args:
        predict: callable from photos `(n, height, width, 3)` to logits
            `(n, num_classes)`, at least two classes.
        photos: array `(n, height, width, 3)`, values 0..255.
        maps: float array `(n, h, w)`, one map for each photo.
        share: float in `(0, 1)`. Part of the cells that is hidden.
        rounds: int. Random places for each photo.
        seed: int.

    Returns:
        dict of arrays, each `(n,)` but for `hidden`: `margin` and
        `probability` of the whole photo (see `scores`), `margin_drop` and
        `probability_drop` with the marked cells hidden,
        `margin_drop_random` and `probability_drop_random` as means over the
        random places, `answer_hidden`, the class that is then the most
        probable, and `hidden`, the bool array `(n, h, w)` of the cells.

    Raises:
        ValueError: as `top_cells`.
    """
    cells = top_cells(maps, share)
    logits = np.asarray(predict(photos))
    best = logits.argmax(axis=1)
    margin, probability = scores(logits, best)

    def drops(hidden):
        after = scores(hidden, best)
        return np.stack([margin - after[0], probability - after[1]])

    covered = np.asarray(predict(hide(photos, cells)))
    marked = drops(covered)
    random = [
        drops(predict(hide(photos, m))) for m in moved(cells, rounds, seed)
    ]
    random = np.mean(random, axis=0)
    return {
        "margin": margin,
        "probability": probability,
        "margin_drop": marked[0],
        "margin_drop_random": random[0],
        "probability_drop": marked[1],
        "probability_drop_random": random[1],
        "answer_hidden": covered.argmax(axis=1),
        "hidden": cells,
    }
