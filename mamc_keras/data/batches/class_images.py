"""Which images a class shows at each of its turns in an epoch. NumPy only."""

import dataclasses

import numpy as np

_BLOCK = 2**20  # images shuffled at a time


@dataclasses.dataclass(frozen=True, eq=False)
class ClassImages:
    """Images sorted by class, classes in the order of their labels.

    Args:
        images: int32 array `(num_images,)`. Class `c` owns
            `images[starts[c]:][:sizes[c]]`.
        starts: int array `(num_classes,)`.
        sizes: int array `(num_classes,)`, all 1 or more.
    """

    images: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray

    def shuffle(self, turns, images_per_class, rng):
        """Shuffles every class once for each pass that its turns make.

        Args:
            turns: int array `(num_classes,)`. How often each class comes up.
            images_per_class: int, how many images it shows then.
            rng: `np.random.Generator`.

        Returns:
            `ClassTurns`.
        """
        groups = -(-self.sizes // images_per_class)
        passes = -(-turns // groups)
        of_class = np.repeat(np.arange(len(passes)), passes)
        sizes = self.sizes[of_class]
        ends = np.cumsum(sizes)
        shuffled = np.empty(ends[-1], np.int32)
        # Passes of the same length are shuffled together, as rows.
        by_size = np.argsort(sizes, kind="stable")
        new = np.flatnonzero(np.diff(sizes[by_size])) + 1
        for group in np.split(by_size, new):
            columns = np.arange(sizes[group[0]])
            block = max(_BLOCK // len(columns), 1)
            for first in range(0, len(group), block):
                rows = group[first : first + block, None]
                images = self.images[self.starts[of_class[rows]] + columns]
                places = ends[rows] - len(columns) + columns
                shuffled[places] = rng.permuted(images, axis=1)
        first_passes = np.cumsum(passes) - passes
        return ClassTurns(
            shuffled, first_passes, ends, self.sizes, images_per_class
        )


@dataclasses.dataclass(frozen=True, eq=False)
class ClassTurns:
    """The shuffled images of an epoch, pass after pass, class after class.

    Args:
        shuffled: int32 array, as many as are shown or a few more.
        first_passes: int array `(num_classes,)`, number of the first pass
            over each class.
        ends: int array `(num_passes,)`, where each pass ends in `shuffled`.
        sizes: int array `(num_classes,)`, images of each class.
        images_per_class: int, images shown at a turn.
    """

    shuffled: np.ndarray
    first_passes: np.ndarray
    ends: np.ndarray
    sizes: np.ndarray
    images_per_class: int

    def images(self, classes, turns):
        """Looks up what classes show.

        Args:
            classes: int array `(n,)`.
            turns: int array `(n,)`. 0 is a class's first turn of the epoch.

        Returns:
            int32 array `(n, images_per_class)`.
        """
        m = self.images_per_class
        sizes = self.sizes[classes]
        groups = -(-sizes // m)
        end = self.ends[self.first_passes[classes] + turns // groups]
        # The last group of a pass wraps round to images of its beginning,
        # which are other images unless the class is smaller than a group.
        position = (turns % groups)[:, None] * m + np.arange(m)
        position %= sizes[:, None]
        return self.shuffled[(end - sizes)[:, None] + position]


def sort_by_class(labels):
    """Sorts images by class, each class in the order of its images.

    Args:
        labels: int array `(num_images,)`, not empty. Any integers.

    Returns:
        `ClassImages`.
    """
    lowest, highest = int(labels.min()), int(labels.max())
    if highest - lowest < 2**31 and highest < 2**63:
        keys = labels.astype(np.int64) - lowest
    else:
        keys = np.searchsorted(np.unique(labels), labels)
    # Class and place in one number: sorting it gives the same as a stable
    # argsort, several times faster.
    keys <<= 32
    keys |= np.arange(len(keys), dtype=np.int32)
    keys.sort()
    images = keys.astype(np.int32)  # the lower half, the place
    keys >>= 32
    new = np.flatnonzero(keys[1:] != keys[:-1]) + 1
    starts = np.concatenate([[0], new])
    return ClassImages(images, starts, np.diff(starts, append=len(labels)))
