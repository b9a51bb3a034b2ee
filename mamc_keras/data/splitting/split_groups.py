"""Divides photos into splits, a group of photos never.

Where every photo is a group of its own this is the division that
`open_source` makes by itself.
"""

import hashlib
import os

import numpy as np

SPLITS = ("train", "val", "test")
KEEP = 2  # training photos of a class that are never given away


def split_by_group(
    images, groups, validation_fraction=0.1, test_fraction=0.2, seed=0
):
    """Chooses the split of each photo, every class by its share.

    First the test photos are taken out of all, then the validation photos
    out of the rest. Groups come in an order that depends only on `seed` and
    on the names of classes and files; a group goes where it brings its
    classes closer to their shares. What a class gives too much or too little
    is made up by the next ones, so that small classes and large groups
    together still give the right number. Training comes first: a class keeps
    two photos there if it has them, whatever the fractions.

    Args:
        images: `ImageSet`.
        groups: int array `(num_images,)`. Photos of equal number stay
            together.
        validation_fraction: float in `[0, 1)`, part of the photos that are
            not for the test.
        test_fraction: float in `[0, 1)`, part of all photos.
        seed: int. Chooses which photos.

    Returns:
        int array `(num_images,)`, indices into `SPLITS`.

    Raises:
        ValueError: when a fraction is below 0, or 1 or more.
    """
    check_fractions(validation_fraction, test_fraction)
    splits = np.zeros(len(images), np.int64)
    groups = np.asarray(groups)
    for name, fraction in (
        ("test", test_fraction),
        ("val", validation_fraction),
    ):
        rest = np.flatnonzero(splits == 0)
        moved = _move_out(
            images.take(rest), groups[rest], fraction, f"{seed}/{name}"
        )
        splits[rest[moved]] = SPLITS.index(name)
    return splits


def check_fractions(validation_fraction, test_fraction):
    """Raises a `ValueError` unless both are in `[0, 1)`."""
    for name, fraction in (
        ("validation_fraction", validation_fraction),
        ("test_fraction", test_fraction),
    ):
        if not 0 <= fraction < 1:
            raise ValueError(
                f"{name} is the part of the photos that is set aside. "
                f"Received: {name}={fraction}. Choose 0 or more and less "
                "than 1."
            )


def _move_out(images, groups, fraction, salt):
    """Returns a bool array, the photos that leave."""
    turns = _turns(images, groups, salt)
    left = images.class_counts()
    keys, counts = np.unique(
        turns * len(left) + images.labels, return_counts=True
    )
    turn, label = np.divmod(keys, len(left))
    mixed = np.bincount(turn)[turn] > 1
    shares, totals = left * fraction, left.copy()
    moved = np.zeros(len(images), bool)

    def may_leave(at):
        return np.all(left[label[at]] - counts[at] >= KEEP)

    def leave(at):
        left[label[at]] -= counts[at]
        moved[turn[at]] = True

    # Groups of several classes are the hard ones, so they choose first. Each
    # is asked whether the share of all that were asked so far gets closer:
    # several times more even than filling the whole share as fast as it goes.
    rows, asked = np.flatnonzero(mixed), np.zeros(len(left))
    for at in np.split(rows, np.flatnonzero(np.diff(turn[rows])) + 1):
        here, count = label[at], counts[at]
        asked[here] += count
        missing = fraction * asked[here] - (totals - left)[here]
        closer = count * (2 * missing - count) / totals[here]
        if len(at) and closer.sum() >= 0 and may_leave(at):
            leave(at)
    rows = np.flatnonzero(~mixed)
    rows = rows[np.argsort(label[rows], kind="stable")]
    carry = 0.0
    for at in np.split(rows, np.flatnonzero(np.diff(label[rows])) + 1):
        if not len(at):
            continue
        here = label[at[0]]
        share = shares[here]
        # One class must not pay for all that others gave too much, nor can
        # it give all that they could not.
        largest = counts[at].max()
        carry = np.clip(carry, -largest / 2, largest)
        carry += share - (totals - left)[here]
        for k in at:
            if carry < 0.5 or totals[here] - left[here] >= share:
                break
            if counts[k] <= 2 * carry and may_leave([k]):
                carry -= counts[k]
                leave([k])
    return moved[turns]


def _turns(images, groups, salt):
    """Numbers the groups by the order in which they are looked at.

    The photo that comes first by name speaks for its group: the best of all
    its photos' random numbers would send large groups first.
    """
    names = [os.path.basename(path) for path in images.paths]
    order = sorted(
        range(len(images)),
        key=lambda i: (images.labels[i], names[i], images.paths[i]),
    )
    _, first, group = np.unique(
        groups[order], return_index=True, return_inverse=True
    )
    ranks = [
        _rank(names[i], images.class_names[images.labels[i]], salt)
        for i in (order[k] for k in first)
    ]
    by_rank = sorted(range(len(first)), key=lambda g: (ranks[g], first[g]))
    turn_of = np.empty(len(first), np.int64)
    turn_of[by_rank] = np.arange(len(first))
    turns = np.empty(len(images), np.int64)
    turns[order] = turn_of[group]
    return turns


def _rank(name, class_name, salt):
    key = os.fsencode(f"{salt}/{class_name}/{name}")
    return hashlib.sha256(key).digest()
