"""Which photos go into which shard, and the list beside it that says so."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import numpy as np

from mamc_keras.data.formats.shard_reader import list_file
from mamc_keras.data.reading import file_of
from mamc_keras.data.reading import name_of
from mamc_keras.data.sources import ImageSet
from mamc_keras.files import write_text


@dataclasses.dataclass(frozen=True, eq=False)
class Shard:
    """What one shard is to hold.

    Args:
        file: Path.
        split: str.
        images: `ImageSet` of the whole split.
        places: int array `(num_images,)`, indices into `images`.
        common: str. The folder that the names of photos start from.
    """

    file: Path
    split: str
    images: ImageSet
    places: np.ndarray
    common: str

    def rows(self):
        """Yields `(place, path, label, name)` of each photo."""
        for place in self.places.tolist():
            path = self.images.paths[place]
            name = name_of(path) or os.path.relpath(path, self.common)
            yield place, path, int(self.images.labels[place]), name

    def key(self):
        """Names the content by sizes and times, without reading photos."""
        digest = hashlib.sha256(repr(self.images.class_names).encode())
        for place, path, label, name in self.rows():
            stat = os.stat(file_of(path))
            row = (place, label, name, stat.st_size, stat.st_mtime_ns)
            digest.update(repr(row).encode())
        return digest.hexdigest()


def plan_shards(splits, out, images_per_shard, seed):
    """Deals the photos of each split out to its shards, classes mixed.

    Args:
        splits: dict of split name to `ImageSet`.
        out: Path of the folder of the shards.
        images_per_shard: int. No shard holds more.
        seed: int, 0 or more.

    Returns:
        list of `Shard`, the same for the same arguments.

    Raises:
        ValueError: when there are no photos, or on senseless numbers.
    """
    if images_per_shard < 1 or seed < 0:
        raise ValueError(
            "A shard holds at least one photo, and a seed is 0 or more. "
            f"Received: images_per_shard={images_per_shard}, seed={seed}."
        )
    if not any(len(images) for images in splits.values()):
        raise ValueError(
            f"There are no photos to write. Received: splits {list(splits)}, "
            "all empty. Choose another source."
        )
    # Names start below the folder that all photos share.
    folders = {
        os.path.dirname(os.path.abspath(file_of(path)))
        for images in splits.values()
        for path in images.paths
    }
    common = os.path.commonpath(folders)
    shards = []
    for number, (split, images) in enumerate(splits.items()):
        order = np.random.default_rng((seed, number)).permutation(len(images))
        count = -(-len(images) // images_per_shard)
        parts = np.array_split(order, count) if count else []
        for i, places in enumerate(parts):
            file = out / f"{split}-{i:05d}-of-{count:05d}.tfrecord"
            shards.append(Shard(file, split, images, places, common))
    return shards


def write_list(shard, entry):
    """Writes the list beside a shard.

    Args:
        shard: `Shard`.
        entry: dict of the shard's `key`, `bytes`, `sha256` and `images`.
    """
    text = json.dumps({**entry, "seal": _seal(entry)})
    write_text(list_file(shard.file), text)


def read_list(shard):
    """Reads the list beside a shard.

    Args:
        shard: `Shard`.

    Returns:
        What `write_list` was given; `None` unless it is there and whole.
    """
    try:
        text = list_file(shard.file).read_text(encoding="utf-8")
        entry = json.loads(text)
        seal = entry.pop("seal")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return entry if seal == _seal(entry) else None


def _seal(entry):
    return hashlib.sha256(json.dumps(entry).encode()).hexdigest()
