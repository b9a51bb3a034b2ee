"""Photos that show the same picture without being the same file.

A fingerprint says for 128 places of a photo whether it gets brighter to the
right or downwards. Scaling, saving again as JPEG and small changes of colour
turn few of the bits; another photo differs in about half of them.
"""

import numpy as np

CELLS = 9  # side of the small grey picture that is compared
# Bits of 128 in which copies may differ. Of the 12,418 photos of three real
# sets this names 10 pairs; by eye, each shows one scene.
NEAR = 7
FLAT = 1.0  # grey levels, of 255
WINDOW = 1000  # files that one file is compared with, by each eighth


def fingerprint(grey):
    """Difference hash of a small grey picture.

    Args:
        grey: float array `(CELLS, CELLS)`.

    Returns:
        uint8 array `(16,)`, 128 bits; `None` for a picture of one shade,
        which says nothing.
    """
    if np.std(grey) < FLAT:
        return None
    right = grey[:-1, 1:] > grey[:-1, :-1]
    down = grey[1:, :-1] > grey[:-1, :-1]
    return np.packbits(np.concatenate([right.ravel(), down.ravel()]))


def near_pairs(fingerprints, near=NEAR, most_files=None):
    """Finds all pairs that differ in at most `near` bits.

    Where more than `WINDOW` files share an eighth of their bits, each is
    compared by it with the next `WINDOW` in sorted order only, so that the
    time grows with the number of files and not with its square.

    Args:
        fingerprints: uint8 array `(n, 16)`.
        near: int, 0 to 7.
        most_files: int. Stop as soon as more files than this are in pairs:
            in photos of one fixed set-up all pairs are near ones, and mean
            nothing. `None` goes on.

    Returns:
        int array `(num_pairs, 3)`: the smaller index, the larger one, and the
        number of bits.
    """
    fingerprints = np.asarray(fingerprints, np.uint8).reshape(-1, 16)
    parts, halves = fingerprints.view(np.uint16), fingerprints.view(np.uint64)
    found, has_twin = [], np.zeros(len(parts), bool)
    # Of eight parts one is equal when at most seven bits differ.
    for part in range(8):
        # The other parts are keys too: like stands near like in a large group.
        order = np.lexsort(np.roll(parts, -part, axis=1).T[::-1])
        column = parts[order, part]
        ends = np.searchsorted(column, column, side="right")
        left = np.arange(len(order))
        for step in range(1, WINDOW + 1):
            left = left[left + step < ends[left]]
            if not len(left):
                break
            one, two = order[left], order[left + step]
            bits = _turned(halves, one, two)
            one, two = one[bits <= near], two[bits <= near]
            # A pair as one number: much faster to sort than rows.
            found.append(
                np.minimum(one, two) * len(parts) + np.maximum(one, two)
            )
            has_twin[one] = has_twin[two] = True
            if most_files is not None and has_twin.sum() > most_files:
                return _rows(found, halves)
        found = [np.unique(np.concatenate(found))] if found else []
    return _rows(found, halves)


def _turned(halves, one, two):
    bits = np.bitwise_count(halves[one] ^ halves[two])
    return bits.sum(axis=1, dtype=np.int64)


def _rows(found, halves):
    pairs = np.unique(np.concatenate([np.zeros(0, np.int64), *found]))
    one, two = np.divmod(pairs, max(1, len(halves)))
    return np.stack([one, two, _turned(halves, one, two)], axis=1)
