"""Photos that must stay on one side of a split.

Copies, near copies and bursts show one thing; with one of them in training
and another in the test, the test measures memory. Photos are linked for one
of these reasons, or because a person says so, and everything that hangs
together is a group.
"""

import dataclasses

import numpy as np

from mamc_keras.data.checking.copies import connected
from mamc_keras.data.checking.inspection import inspect_file
from mamc_keras.data.checking.near_duplicates import near_pairs
from mamc_keras.data.splitting.bursts import burst_pairs
from mamc_keras.data.splitting.bursts import taken_at
from mamc_keras.data.threads import map_files

# Photos of one fixed set-up all look alike, and a camera on a tripod never
# pauses: such a chain says nothing about what is the same thing.
CHAIN_SHARE = 1 / 3  # of a class
CHAIN_PHOTOS = 10  # so many may belong together in any class


@dataclasses.dataclass(frozen=True, eq=False)
class PhotoGroups:
    """Which photos belong together, and why.

    Args:
        numbers: int array `(num_images,)`, the group of each photo.
        usable: bool array `(num_images,)`. False for files that training
            leaves out; each is a group of its own.
        reasons: dict of reason to a tuple of ints, how many groups of two or
            more photos it makes by itself and how many photos they hold.
        cut: tuple of str. A sentence on each chain that was cut.
    """

    numbers: np.ndarray
    usable: np.ndarray
    reasons: dict[str, tuple[int, int]]
    cut: tuple[str, ...]


def find_groups(images, given=None, progress=None):
    """Finds the photos that belong together.

    Linked are files with the same contents, photos that look the same, photos
    that one camera took of one class within `BURST_SECONDS`, and photos of
    one given group. A chain of looks or of a burst that holds more than
    a third of its class and more than ten photos is cut: its weakest links go
    first, until no part is that large.

    Args:
        images: `ImageSet`.
        given: dict of reason to a sequence with a str for each image: the
            group that a person named, empty for none.
        progress: callable `(num_done, num_images)`, called after each image.

    Returns:
        `PhotoGroups`.
    """
    seen = list(map_files(_look_at, images.paths, progress))
    usable = np.array([digest is not None for digest, _, _ in seen], bool)
    digests = [digest for digest, _, _ in seen]
    looks = [look for _, look, _ in seen]
    stamps = [stamp for _, _, stamp in seen]
    copies = _same(digests)
    # Of equal files one is enough, or thousands of them make millions of
    # pairs.
    again = set(copies[:, 1].tolist())
    shown = [
        i for i, look in enumerate(looks) if look is not None and i not in again
    ]
    alike = near_pairs([looks[i] for i in shown])
    alike[:, :2] = np.array(shown, np.int64)[alike[:, :2]]
    alike, cut_looks = cut_chains(alike, images, "look almost the same")
    bursts, cut_bursts = cut_chains(
        burst_pairs(stamps, images.labels), images, "are one burst"
    )
    links = {
        "same contents": copies,
        "look the same": alike,
        "one burst": bursts,
    }
    for reason, names in (given or {}).items():
        links[reason] = _same(
            [
                name if name and use else None
                for name, use in zip(names, usable, strict=True)
            ]
        )
    pairs = np.concatenate(list(links.values()))
    return PhotoGroups(
        connected(pairs, len(images)),
        usable,
        {name: _count(found, len(images)) for name, found in links.items()},
        (*cut_looks, *cut_bursts),
    )


def cut_chains(pairs, images, what):
    """Takes the weakest links out of chains that are too large.

    Args:
        pairs: int array `(num_pairs, 3)`: two indices and their distance.
        images: `ImageSet`.
        what: str. Says in a sentence what the photos of a chain do.

    Returns:
        The pairs that are left, and a list of a sentence on each chain.
    """
    kept, sentences = [pairs[:0]], []
    # Level by level, so that the order of the images decides nothing.
    for level in range(int(pairs[:, 2].max(initial=-1)), -1, -1):
        pairs = pairs[pairs[:, 2] <= level]
        groups = connected(pairs, len(images))
        large = _too_large(groups, images)
        if not sentences:
            sentences = [
                f"{begin} {what}: a fixed set-up or a film. Only the closest "
                "of them are kept together."
                for begin in large.values()
            ]
        chained = np.isin(groups[pairs[:, 0]], list(large))
        kept.append(pairs[~chained])
        pairs = pairs[chained]
    return np.concatenate(kept), sentences


def _too_large(groups, images):
    """Gives a sentence's beginning for each group that is to be cut."""
    sizes, totals = np.bincount(groups), images.class_counts()
    keys, counts = np.unique(
        groups * len(totals) + images.labels, return_counts=True
    )
    of_group, of_class = np.divmod(keys, len(totals))
    # Of the classes of its photos, on average: one photo of a class of two
    # does not count against a group of another class.
    shares = np.bincount(of_group, counts**2 / totals[of_class]) / sizes
    large = {}
    for g in np.flatnonzero((sizes > CHAIN_PHOTOS) & (shares > CHAIN_SHARE)):
        most = max(np.flatnonzero(of_group == g), key=lambda k: counts[k])
        large[int(g)] = (
            f"{sizes[g]} photos, among them {counts[most]} of the "
            f"{totals[of_class[most]]} of "
            f"'{images.class_names[of_class[most]]}',"
        )
    return large


def _look_at(path):
    """Returns digest, fingerprint and stamp; no digest if unusable."""
    problems, digest, looks = inspect_file(path)
    if any(problem.left_out for problem in problems):
        return None, None, None
    return digest, looks, taken_at(path)


def _same(values):
    """Links each value to the first that equals it, `None` to nothing."""
    first, pairs = {}, []
    for i, value in enumerate(values):
        if value is not None and first.setdefault(value, i) != i:
            pairs.append((first[value], i, 0))
    return np.array(pairs, np.int64).reshape(-1, 3)


def _count(pairs, num):
    sizes = np.bincount(connected(pairs, num))
    sizes = sizes[sizes > 1]
    return len(sizes), int(sizes.sum())
