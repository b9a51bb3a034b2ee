"""Which images form a batch: some classes, several images of each.

NumPy only. A plan is a function of labels, seed and epoch number, so a
training run is resumed by (seed, epoch, step) and nothing has to be stored.
"""

import numpy as np


class NPairPlan:
    """Deals images into batches of `classes_per_batch x images_per_class`.

    Every image is shown in every epoch. The images of a class are shuffled
    and cut into groups of `images_per_class`; the groups are dealt to batches
    so that no class comes twice in a batch, and the batches are then mixed
    until any two classes meet as often as with independent draws. What has
    to be adapted to the data is said in `rules`:

    - A class with fewer than `images_per_class` images repeats them to fill
      its group (a differently augmented photo is a weak partner, but without
      it the class would never be learned).
    - With fewer classes than `classes_per_batch`, that number is lowered.
    - Incomplete groups and batches are filled with images of an extra pass,
      each class in proportion to its size.
    - A class may come once in a batch, so one very large class forces as many
      batches as it has groups; the other classes are then repeated.

    Args:
        labels: int array of shape `(num_images,)`. Any integers.
        classes_per_batch: int. Different classes in a batch, `N` in the
            paper. At least 2.
        images_per_class: int. Different images of each. At least 2.
        seed: int, 0 or more.

    Attributes:
        classes_per_batch: int, lowered where there are fewer classes.
        images_per_class: int.
        batch_size: int, the product of the two.
        num_images: int.
        steps_per_epoch: int, the same for every epoch.
        rules: tuple of str. What was adapted, in plain sentences.

    Reference:

    - [Strona et al., 2014](https://doi.org/10.1038/ncomms5114), the mixing
      of a table of zeros and ones that keeps its row and column sums.
    """

    def __init__(self, labels, classes_per_batch, images_per_class, seed=0):
        labels = np.asarray(labels)
        _check_arguments(labels, classes_per_batch, images_per_class, seed)
        self.num_images = len(labels)
        # Images sorted by class: class c owns _images[_starts[c]:][:_sizes[c]]
        self._images = np.argsort(labels, kind="stable")
        classes, self._sizes = np.unique(labels, return_counts=True)
        self._starts = np.cumsum(self._sizes) - self._sizes
        if len(classes) < 2:
            raise ValueError(
                "MAMC needs images of at least two classes. Received: "
                f"{len(labels)} labels of {len(classes)} class."
            )
        self.classes_per_batch = min(int(classes_per_batch), len(classes))
        self.images_per_class = int(images_per_class)
        self.batch_size = self.classes_per_batch * self.images_per_class
        self._seed = int(seed)
        self._groups = -(-self._sizes // self.images_per_class)
        by_total = -(-self._groups.sum() // self.classes_per_batch)
        self.steps_per_epoch = int(max(by_total, self._groups.max()))
        self.rules = tuple(
            self._describe(classes, int(classes_per_batch), by_total)
        )

    def batches(self, epoch):
        """Plans one epoch.

        Args:
            epoch: int, 0 or more.

        Returns:
            int64 array of shape `(steps_per_epoch, batch_size)`: indices
            into the labels, the images of one class next to each other.
        """
        rng = np.random.default_rng([self._seed, int(epoch)])
        shares = _fair_shares(
            self._groups,
            self.steps_per_epoch * self.classes_per_batch,
            self.steps_per_epoch,
            rng,
        )
        table = _deal(shares, self.steps_per_epoch)
        table = _mix(table, rng)
        return self._fill_with_images(table, shares, rng)

    def _fill_with_images(self, table, shares, rng):
        """Turns classes `(steps, N)` into images `(steps, N * m)`."""
        m = self.images_per_class
        # One shuffle of a class for each pass over it, all in one sort.
        passes = -(-shares // self._groups)
        pass_class = np.repeat(np.arange(len(shares)), passes)
        lengths = self._sizes[pass_class]
        pass_starts = np.cumsum(lengths) - lengths
        pass_of_item = np.repeat(np.arange(len(pass_class)), lengths)
        within = np.arange(lengths.sum()) - pass_starts[pass_of_item]
        items = self._starts[pass_class][pass_of_item] + within
        shuffled = items[np.argsort(pass_of_item + rng.random(len(items)))]

        # The t-th time that a class comes up it shows the t-th group.
        flat = table.reshape(-1)
        order = np.argsort(flat, kind="stable")
        first = np.cumsum(shares) - shares
        turn = np.empty_like(flat)
        turn[order] = np.arange(len(flat)) - np.repeat(first, shares)
        first_pass = np.cumsum(passes) - passes
        pass_index = first_pass[flat] + turn // self._groups[flat]
        # The last group of a pass wraps round to images of its beginning,
        # which are other images unless the class is smaller than a group.
        position = (turn % self._groups[flat])[:, None] * m + np.arange(m)
        position %= self._sizes[flat][:, None]
        chosen = shuffled[pass_starts[pass_index][:, None] + position]
        return self._images[chosen].reshape(-1, self.batch_size)

    def _describe(self, classes, wanted, by_total):
        m, steps = self.images_per_class, self.steps_per_epoch
        if self.classes_per_batch < wanted:
            yield (
                f"There are {len(classes)} classes, so a batch holds "
                f"{self.classes_per_batch} classes instead of {wanted}."
            )
        lone = int(np.sum(self._sizes < m))
        if lone:
            yield (
                f"{lone} of {len(classes)} classes have fewer than {m} "
                "images: theirs are repeated within a batch."
            )
        if steps > by_total:
            largest = int(np.argmax(self._groups))
            yield (
                f"The largest class (label {classes[largest]}, "
                f"{self._sizes[largest]} images) needs {steps} batches, "
                f"since a class comes once in a batch; {by_total} would do "
                "for the number of images."
            )
        repeats = steps * self.batch_size - self.num_images
        if repeats:
            yield (
                f"An epoch has {steps} batches of {self.batch_size}: each "
                f"of the {self.num_images} images once, and {repeats} "
                "repeats that fill groups and batches."
            )


def _check_arguments(labels, classes_per_batch, images_per_class, seed):
    if images_per_class < 2:
        raise ValueError(
            "MAMC needs at least two images of a class in a batch. "
            f"Received: images_per_class={images_per_class}. "
            "Set it to 2 or more."
        )
    if classes_per_batch < 2:
        raise ValueError(
            "MAMC needs at least two classes in a batch. "
            f"Received: classes_per_batch={classes_per_batch}. "
            "Set it to 2 or more."
        )
    if seed < 0:
        raise ValueError(f"The seed must be 0 or more. Received: seed={seed}.")
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            "labels must be one integer per image. Received: shape "
            f"{labels.shape}, dtype {labels.dtype}."
        )
    if not len(labels):
        raise ValueError(
            "There are no images to make batches of. Received: 0 labels."
        )


def _fair_shares(groups, num_places, limit, rng):
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


def _deal(shares, steps):
    """Deals classes to batches in turn: `(steps, N)`, no class twice."""
    classes = np.repeat(np.arange(len(shares)), shares)
    return np.ascontiguousarray(classes.reshape(-1, steps).T)


def _mix(table, rng):
    """Mixes the classes over the batches and keeps them distinct.

    Random pairs of batches trade the classes that only one of them has.
    After enough rounds every table with these class counts is equally
    likely (the curveball algorithm).

    Args:
        table: int array of shape `(steps, classes_per_batch)`.
        rng: `np.random.Generator`.

    Returns:
        int array of the same shape.
    """
    steps, width = table.shape
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
