"""Which classes meet in a batch: counts and tables of classes, no images.

NumPy only. A long epoch is planned in windows of some thousand batches, so
that any of them can be had without the others.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Deal:
    """The places of an epoch, dealt to windows and in them to batches.

    All places of all classes lie end to end, the classes in random order.
    Place `k` belongs to batch `k % num_steps`, so a class with at most
    `num_steps` places comes at most once in a batch; and every
    `num_windows`-th batch belongs to one window, so the places of a class
    spread evenly over the windows.

    Args:
        classes: int array `(num_classes,)`, in the order in which they lie.
        ends: int array `(num_classes,)`, the end of the places of each.
        residues: int array `(num_windows,)`. Window `i` holds the batches
            `residues[i] + j * num_windows`.
        first_steps: int array `(num_windows,)`. Where each window begins in
            the epoch.
        num_steps: int.
        width: int, the classes of a batch.
    """

    classes: np.ndarray
    ends: np.ndarray
    residues: np.ndarray
    first_steps: np.ndarray
    num_steps: int
    width: int

    def window(self, number):
        """Deals the classes of one window, not mixed yet.

        Args:
            number: int, which window.

        Returns:
            `(table, turns)`: int arrays `(steps, width)`. No class comes
            twice in a row; `turns` counts the places of a class in the whole
            epoch, so no pair of class and turn comes twice in an epoch.
        """
        steps = np.arange(
            self.residues[number], self.num_steps, len(self.residues)
        )
        places = steps[:, None] + self.num_steps * np.arange(self.width)
        lies_at = np.searchsorted(self.ends, places, side="right")
        begins = np.concatenate([[0], self.ends])[lies_at]
        return self.classes[lies_at], places - begins


def deal(shares, num_steps, width, window_steps, rng):
    """Deals the places of an epoch.

    Args:
        shares: int array `(num_classes,)`, adding up to `num_steps * width`
            and each at most `num_steps`.
        num_steps: int, the batches of the epoch.
        width: int, the classes of a batch.
        window_steps: int, the most batches of a window.
        rng: `np.random.Generator`.

    Returns:
        A `Deal`.
    """
    classes = rng.permutation(len(shares))
    num_windows = -(-num_steps // window_steps)
    # A class with few places has them in neighbouring residues: in random
    # order they spread over the epoch.
    residues = rng.permutation(num_windows)
    lengths = (num_steps - residues + num_windows - 1) // num_windows
    return Deal(
        classes,
        np.cumsum(shares[classes]),
        residues,
        np.cumsum(lengths) - lengths,
        num_steps,
        width,
    )


def fair_shares(groups, num_places, limit, rng):
    """Says how often each class comes up in an epoch.

    At least once for each of its groups, at most once in a batch, and as
    far as that allows in proportion to its size, so that every image is
    repeated about equally often.

    Args:
        groups: int array of shape `(num_classes,)`.
        num_places: int. What the shares add up to.
        limit: int. Number of batches.
        rng: `np.random.Generator`. Decides who gets the odd places.

    Returns:
        int array of shape `(num_classes,)`.
    """
    # Exact shares min(limit, scale * groups): classes reach the limit from
    # the largest down, and the scale grows for those that have not.
    full = np.zeros(len(groups), dtype=bool)
    while True:
        scale = (num_places - limit * full.sum()) / max(groups[~full].sum(), 1)
        reached = ~full & (scale * groups >= limit)
        if not reached.any():
            break
        full |= reached
    exact = np.where(full, limit, scale * groups)
    # Whole numbers that add up: the odd parts laid end to end in random
    # order, a class gets a place where a whole number falls into its part.
    order = rng.permutation(len(groups))
    ends = np.cumsum((exact - groups)[order])
    ends[-1] = num_places - groups.sum()
    marks = np.floor(ends + rng.random())
    extra = np.diff(marks, prepend=0.0).astype(np.int64)
    extra[-1] += num_places - groups.sum() - extra.sum()
    shares = groups.astype(np.int64)
    shares[order] += extra
    return shares


def mix(table, rng):
    """Mixes the classes over the batches and keeps them distinct.

    Random pairs of batches trade the classes that only one of them has.
    After enough rounds every table with these class counts is equally
    likely (the curveball algorithm).

    Args:
        table: int array of shape `(steps, classes_per_batch)`.
        rng: `np.random.Generator`.

    Returns:
        int array of the same shape.

    Reference:

    - [Strona et al., 2014](https://doi.org/10.1038/ncomms5114), the mixing
      of a table of zeros and ones that keeps its row and column sums.
    """
    steps, width = table.shape
    table = table.copy()
    half = steps // 2
    rounds = 2 * int(np.ceil(np.log2(max(steps, 2)))) + 8
    for _ in range(rounds if half else 0):
        order = rng.permutation(steps)
        left, right = order[:half], order[half : 2 * half]
        both = np.sort(np.concatenate([table[left], table[right]], 1), 1)
        same = both[:, 1:] == both[:, :-1]
        # A class that both have stays in both: first copy left, second
        # right. The others go where a random number puts them.
        keys = rng.random(both.shape, dtype=np.float32)
        keys[:, :-1][same] = -1.0
        keys[:, 1:][same] = 2.0
        both = np.take_along_axis(both, np.argsort(keys, 1), 1)
        table[left], table[right] = both[:, :width], both[:, width:]
    return rng.permuted(table[rng.permutation(steps)], axis=1)
