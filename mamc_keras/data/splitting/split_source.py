"""A data set divided anew: what belongs together stays together."""

import dataclasses
from pathlib import Path

import numpy as np

from mamc_keras import __version__
from mamc_keras.data.checking.bad_files import leave_out
from mamc_keras.data.checking.copies import most_alike
from mamc_keras.data.checking.findings import listed
from mamc_keras.data.reading import name_of
from mamc_keras.data.sources import ImageSet
from mamc_keras.data.sources import open_source
from mamc_keras.data.splitting.given_groups import listed_groups
from mamc_keras.data.splitting.given_groups import named_groups
from mamc_keras.data.splitting.groups import find_groups
from mamc_keras.data.splitting.split_groups import SPLITS
from mamc_keras.data.splitting.split_groups import check_fractions
from mamc_keras.data.splitting.split_groups import split_by_group
from mamc_keras.data.splitting.write_split import check_out
from mamc_keras.data.splitting.write_split import write_split

VERSION = 1  # of split.json


@dataclasses.dataclass(frozen=True, eq=False)
class SplitReport:
    """What a division came to.

    Args:
        photos: dict of split name to int.
        classes: dict of split name to int, classes that it has photos of.
        reasons: dict of reason to a tuple of ints, groups and their photos.
        notes: tuple of str. Sentences on what a person should know.
        files: tuple of Path. What was written.
    """

    photos: dict[str, int]
    classes: dict[str, int]
    reasons: dict[str, tuple[int, int]]
    notes: tuple[str, ...]
    files: tuple[Path, ...]


def split_source(
    source,
    out,
    validation_fraction=0.1,
    test_fraction=0.2,
    seed=0,
    group_by="",
    again=False,
    progress=None,
):
    """Divides a data set into splits that share no scene, and writes lists.

    Args:
        source: str or Path. What `open_source` takes.
        out: str or Path. A new folder for the lists; a source afterwards.
        validation_fraction: float in `[0, 1)`, part of the photos that are
            not for the test.
        test_fraction: float in `[0, 1)`, part of all photos.
        seed: int. Chooses which photos.
        group_by: str. A regular expression with one pair of parentheses:
            photos in whose names it finds the same stay together.
        again: bool. Join the splits that the source has, and divide anew.
        progress: callable `(num_done, num_images)`, called after each image.

    Returns:
        A `SplitReport`.

    Raises:
        FileNotFoundError: when the source does not exist.
        ValueError: when it cannot be divided, or `out` cannot be written.
    """
    check_fractions(validation_fraction, test_fraction)
    existing = open_source(source, 0, 0)
    _check_place(source, out)
    kept, problems = leave_out(existing, source)
    if not again and any(len(kept[name]) for name in ("val", "test")):
        sizes = ", ".join(f"{name} {len(kept[name])}" for name in SPLITS)
        raise ValueError(
            f"The source has splits already. Received: '{source}' with "
            f"{sizes}. Add --again to join and divide all its photos anew."
        )
    images = _not_empty(_join(kept.values()), source)
    if any(name_of(path) for path in images.paths):
        raise ValueError(
            "Lists cannot name photos inside shards. Received: "
            f"'{source}'. Divide the photos that they were made from, and "
            "write shards of the result with `mamc shard`."
        )
    given = {}
    listed_names = listed_groups(source, images.paths)
    if any(listed_names):
        given["column group"] = listed_names
    if group_by:
        given["name of file"] = named_groups(group_by, images.paths)
    found = find_groups(images, given, progress)
    unusable = [images.paths[i] for i in np.flatnonzero(~found.usable)]
    images = _not_empty(images.take(found.usable), source)
    groups = found.numbers[found.usable]
    splits = split_by_group(
        images, groups, validation_fraction, test_fraction, seed
    )
    counts = {
        name: images.take(splits == k).class_counts()
        for k, name in enumerate(SPLITS)
    }
    photos = {name: int(count.sum()) for name, count in counts.items()}
    classes = {name: int((count > 0).sum()) for name, count in counts.items()}
    wanted = {"val": validation_fraction, "test": test_fraction}
    notes = (
        *(problem.message for problem in problems if not problem.path),
        *found.cut,
        *_notes(images, classes, wanted, unusable),
        *_alike(found.reasons, len(images), given),
    )
    details = {
        "version": VERSION,
        "mamc_keras": __version__,
        "source": str(source),
        "seed": seed,
        "validation_fraction": validation_fraction,
        "test_fraction": test_fraction,
        "group_by": group_by,
        "photos": photos,
        "classes": classes,
        "groups": {
            reason: {"groups": number, "photos": size}
            for reason, (number, size) in found.reasons.items()
        },
        "notes": notes,
        "left_out": unusable,
    }
    files = write_split(out, images, splits, groups, details)
    return SplitReport(photos, classes, found.reasons, notes, tuple(files))


def _check_place(source, out):
    check_out(out)
    root = Path(source).expanduser().resolve()
    place = Path(out).expanduser().resolve()
    if root.is_dir() and place.is_relative_to(root):
        raise ValueError(
            "The lists would look like a class of their source. Received: "
            f"'{out}' inside '{source}'. Give a folder outside, for example "
            f"'{root.name}-split' beside it."
        )


def _join(sets):
    sets = list(sets)
    return ImageSet(
        [path for images in sets for path in images.paths],
        np.concatenate([images.labels for images in sets]),
        sets[0].class_names,
    )


def _not_empty(images, source):
    if not len(images):
        raise ValueError(
            "There is no photo to divide: all are left out. Received: "
            f"'{source}'. mamc check says why."
        )
    return images


def _notes(images, classes, wanted, unusable):
    if unusable:
        yield (
            f"{len(unusable)} files cannot be used and are in no list: "
            f"{listed(unusable)}. mamc check says why."
        )
    lost = [
        images.class_names[label]
        for label in np.flatnonzero(images.class_counts() == 0)
    ]
    if lost:
        yield f"No photo of these classes can be used: {listed(lost)}."
    for name, fraction in wanted.items():
        missing = classes["train"] - classes[name]
        if fraction and missing:
            yield (
                f"{name} has no photo of {missing} of {classes['train']} "
                "classes: they are too small, or hang together in one group."
            )


def _alike(reasons, num_images, given):
    photos = reasons["look the same"][1]
    if not given and photos > most_alike(num_images):
        yield (
            f"{photos} of {num_images} photos look like another one. Where "
            "everything looks alike, looks do not tell scenes apart: name "
            "them, by --group-by or by a column 'group' in a CSV."
        )
