"""Photos that exist twice, as the same file or as the same picture."""

from collections import defaultdict

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mamc_keras.data.checking.findings import Problem
from mamc_keras.data.checking.findings import listed
from mamc_keras.data.checking.near_duplicates import near_pairs

# Photos of one fixed set-up (solar cells: every third) all look alike; three
# sets of free photos hold 0.2 % of such files.
ALIKE_SHARE = 0.05
_NEAR_KINDS = ("near leak", "near conflict", "near duplicate")  # worst first


def most_alike(num_photos):
    """How many photos may look like another one before it means nothing."""
    return max(10, int(ALIKE_SHARE * num_photos))


def connected(pairs, num):
    """Numbers what hangs together by any chain of pairs.

    Args:
        pairs: int array `(num_pairs, 2 or more)`: two indices in each row.
        num: int. How many things there are.

    Returns:
        int array `(num,)`: the number of the group of each.
    """
    links = (np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1]))
    graph = coo_array(links, shape=(num, num))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def copies_within(images, digests):
    """Finds files with the same contents as an earlier one.

    Args:
        images: `ImageSet`.
        digests: sequence of bytes, one for each image; `None` where a file
            cannot be used.

    Returns:
        list of `Problem`.
    """
    problems, first = [], {}
    for i, digest in enumerate(digests):
        if digest is None:
            continue
        other = first.setdefault(digest, i)
        if other == i:
            continue
        same = images.labels[i] == images.labels[other]
        kind = "duplicate" if same else "conflict"
        twin = images.paths[other]
        message = f"has the same contents as '{twin}'"
        problems.append(Problem(images.paths[i], kind, message, twin=twin))
    return problems


def copies_across(splits, digests):
    """Finds files with the same contents as one of another split.

    Args:
        splits: dict of split name to `ImageSet`.
        digests: dict of split name to what `copies_within` takes.

    Returns:
        list of `Problem`.
    """
    problems, seen = [], {}
    for name, images in splits.items():
        labels = images.labels.tolist()
        files = zip(images.paths, labels, digests[name], strict=True)
        for path, label, digest in files:
            if digest is None:
                continue
            split, other, twin = seen.setdefault(digest, (name, label, path))
            if split != name:
                message = f"is also in {split}: '{twin}'"
                message += ", as another class" * (label != other)
                problems.append(Problem(path, "leak", message, twin=twin))
    return problems


def look_alikes(splits, digests, fingerprints):
    """Finds photos that look the same in files that are not the same.

    Every file is named once, with its worst twin. Where the pairs are too
    many to mean anything, one finding speaks for all.

    Args:
        splits: dict of split name to `ImageSet`.
        digests: dict of split name to what `copies_within` takes.
        fingerprints: dict of split name to sequence of uint8 arrays `(16,)`
            or `None`.

    Returns:
        list of `Problem`.
    """
    # Exact copies are reported already: one entry for each contents, with
    # one file for each split and class that it is in.
    places, prints = defaultdict(dict), {}
    for name, images in splits.items():
        files = zip(
            images.paths,
            images.labels.tolist(),
            digests[name],
            fingerprints[name],
            strict=True,
        )
        for path, label, digest, looks in files:
            if looks is not None:
                prints.setdefault(digest, looks)
                places[digest].setdefault((name, label), path)
    places = list(places.values())
    most = most_alike(len(places))
    pairs = near_pairs(list(prints.values()), most_files=most)
    found = {int(i) for pair in pairs for i in pair[:2]}
    if len(found) > most:
        return [_alike(places, pairs, len(found))]
    worst = {}
    for i, j, bits in pairs:
        for here, path in places[j].items():
            for there, twin in places[i].items():
                rank = _rank(here, there)
                if (rank, bits) < worst.get(path, (3,))[:2]:
                    place = f" in {there[0]}" * (rank == 0)
                    place += ", of another class" * (here[1] != there[1])
                    worst[path] = (rank, bits, twin, place)
    problems = []
    for path, (rank, _, twin, place) in worst.items():
        message = f"looks like '{twin}'{place}"
        problems.append(Problem(path, _NEAR_KINDS[rank], message, twin=twin))
    return problems


def _rank(here, there):
    """Place in `_NEAR_KINDS` of two files, each (split, label)."""
    if here[0] != there[0]:
        return 0
    return 1 if here[1] != there[1] else 2


def _alike(places, pairs, num_found):
    names = [next(iter(place.values())) for place in places]
    examples = [f"{names[j]} = {names[i]}" for i, j, _ in pairs[:3]]
    message = (
        f"At least {num_found} of {len(places)} photos look almost like "
        "another one: many near copies, or photos of one fixed set-up. For "
        f"example {listed(examples)}."
    )
    return Problem("", "alike", message)
