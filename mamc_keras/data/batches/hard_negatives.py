"""Batches of look-alikes: classes that a model confuses meet more often."""

import collections

import numpy as np

from mamc_keras.data.n_pairs import NPairPlan

# Batches that are asked for a class before the next class is tried. With few
# classes most batches hold both of the two to be traded, and no trade fits.
_TRIES = 8


class HardNegativePlan(NPairPlan):
    """An `NPairPlan` whose batches are gathered by similarity.

    Starts from the batches of the plain plan. In each of them a part of the
    classes is traded, one by one, for the classes most similar to its first
    class that a batch not yet treated can spare; when there are none, for
    those most similar to its second, and so on. A trade that would put a
    class twice into a batch is not made, so all that the plain plan promises
    stays: every image in every epoch, distinct classes, the same number of
    steps, the same batches for the same seed, epoch and step. What finds
    nothing similar stays as drawn.

    Args:
        labels: int array of shape `(num_images,)`, each a row of
            `similarity`.
        classes_per_batch: int. See `NPairPlan`.
        images_per_class: int. See `NPairPlan`.
        similarity: float array of shape `(num_classes, num_classes)`. Row
            `c` says how much each other class resembles class `c`; only
            values above 0 count, the diagonal does not. See
            `similarity_from_confusion` and `similarity_from_prototypes`.
        share: float from 0 to 1. Part of the classes of a batch, besides its
            first, that is chosen by similarity, rounded to whole classes: 0
            gives the plain plan, 1 the hardest batches.
        seed: int, 0 or more.

    Attributes: those of `NPairPlan`.

    Raises:
        ValueError: when labels, similarity and share do not fit together.
    """

    def __init__(
        self,
        labels,
        classes_per_batch,
        images_per_class,
        similarity,
        share=0.5,
        seed=0,
    ):
        super().__init__(labels, classes_per_batch, images_per_class, seed)
        similarity = _check_similarity(similarity)
        labels = np.unique(np.asarray(labels))
        if labels[0] < 0 or labels[-1] >= len(similarity):
            raise ValueError(
                "Labels are rows of the similarity matrix. Received: labels "
                f"from {labels[0]} to {labels[-1]} and a matrix of "
                f"{len(similarity)} rows."
            )
        if not 0 <= share <= 1:
            raise ValueError(
                "share is the part of a batch that is chosen by similarity, "
                f"from 0 to 1. Received: share={share}."
            )
        self._num_hard = round(share * (self.classes_per_batch - 1))
        self._nearest = _nearest(
            similarity, labels, 8 * self.classes_per_batch, seed
        )

    def _arrange(self, table, rng):
        table = super()._arrange(table, rng)
        return gather_similar(table, self._nearest, self._num_hard, rng)


def gather_similar(table, nearest, num_hard, rng):
    """Trades classes between batches until look-alikes meet.

    Args:
        table: int array `(steps, classes_per_batch)`, no class twice in a
            row.
        nearest: list of int arrays. For each class the similar ones, the
            most similar first.
        num_hard: int. The last classes of a row, that may be traded; less
            than `classes_per_batch`.
        rng: `np.random.Generator`. The order in which the rows choose, as
            the last find little left.

    Returns:
        int array of the same shape. Each class comes as often as before and
        never twice in a row.
    """
    if not num_hard:
        return table
    trades = _Trades(table, nearest, num_hard)
    for step in rng.permutation(len(table)).tolist():
        trades.gather(step)
    return np.array(trades.rows, table.dtype)


class _Trades:
    """The table during the trade, and where each class can be had."""

    def __init__(self, table, nearest, num_hard):
        self.rows = table.tolist()
        self._members = [set(row) for row in self.rows]
        self._nearest = nearest
        width = table.shape[1]
        self._columns = range(width - num_hard, width)
        self._treated = [False] * len(table)
        # Offers outlive a trade: they are checked when they are taken.
        self._offers = collections.defaultdict(collections.deque)
        for step, row in enumerate(self.rows):
            for column in self._columns:
                self._offers[row[column]].append((step, column))

    def gather(self, step):
        """Lets the classes of a row choose, the first one first."""
        self._treated[step] = True
        row = self.rows[step]
        free = set(self._columns)
        for column in range(len(row)):
            free.discard(column)
            if not free:
                break
            self._choose(step, self._nearest[row[column]].tolist(), free)

    def _choose(self, step, wishes, free):
        row, members = self.rows[step], self._members[step]
        rank = {wish: place for place, wish in enumerate(wishes)}
        # The least similar is given away first, a wish fulfilled never.
        ranked = [(rank.get(row[column], np.inf), column) for column in free]
        giving = [column for _, column in sorted(ranked)]
        for wish in wishes:
            if not giving:
                break
            if wish in members:
                if row[giving[0]] == wish:
                    free.discard(giving.pop(0))
                continue
            given = row[giving[-1]]
            found = self._find(wish, given)
            if found:
                other, other_column = found
                column = giving.pop()
                free.discard(column)
                row[column] = wish
                self.rows[other][other_column] = given
                members ^= {wish, given}
                self._members[other] ^= {wish, given}
                self._offers[given].append(found)

    def _find(self, wish, given):
        """A place of the wish whose batch can take the one given for it."""
        offers, tries = self._offers[wish], _TRIES
        while offers and tries:
            step, column = found = offers.popleft()
            if self._treated[step] or self.rows[step][column] != wish:
                continue
            if given not in self._members[step]:
                return found
            offers.append(found)
            tries -= 1
        return None


def _nearest(similarity, labels, count, seed):
    """The similar classes of each class, most similar first."""
    # Equally similar ones in random order, or low labels would be preferred.
    order = np.random.default_rng(seed).permutation(len(labels))
    count = min(count, len(labels) - 1)
    result = []
    for place, label in enumerate(labels):
        row = similarity[label][labels[order]].astype(np.float64)
        row[order == place] = 0.0
        least = np.partition(row, -count)[-count]
        found = np.flatnonzero((row >= least) & (row > 0))
        found = found[np.argsort(-row[found], kind="stable")[:count]]
        result.append(order[found])
    return result


def _check_similarity(similarity):
    similarity = np.asarray(similarity)
    if similarity.ndim != 2 or len(set(similarity.shape)) != 1:
        raise ValueError(
            "similarity compares every class with every other: "
            "(num_classes, num_classes). Received: shape "
            f"{similarity.shape}."
        )
    if not np.isfinite(similarity).all():
        raise ValueError(
            "The similarities are no numbers. Received: NaN or infinity. "
            "Make them from a model that has not diverged."
        )
    return similarity
