"""Where photos come from: folders, lists, archives of data sets, shards, TFDS.

`root/<class>/*.jpg`, `root/<split>/<class>/*.jpg`, a CSV or text list of
paths and labels, CUB-200-2011, Stanford Dogs and Stanford Cars as they are
unpacked, and TFRecord shards. Everything after this file knows only paths,
integer labels and class names.
"""

import dataclasses
import hashlib
import math
import os
from pathlib import Path

import numpy as np

from mamc_keras.data.formats.author_formats import read_author_format
from mamc_keras.data.formats.file_lists import find_lists
from mamc_keras.data.formats.file_lists import is_list
from mamc_keras.data.formats.file_lists import read_lists
from mamc_keras.data.formats.folders import existing_folder
from mamc_keras.data.formats.folders import find_class_names
from mamc_keras.data.formats.folders import find_split_folders
from mamc_keras.data.formats.folders import list_classes
from mamc_keras.data.formats.folders import natural_key
from mamc_keras.data.formats.shard_reader import is_shard_folder
from mamc_keras.data.formats.shard_reader import read_shards
from mamc_keras.data.splitting.split_groups import check_fractions


@dataclasses.dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled photos on disk.

    Args:
        paths: sequence of str. One image file each.
        labels: int array of shape `(num_images,)`, indices into
            `class_names`.
        class_names: sequence of str.
    """

    paths: tuple[str, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]

    def __post_init__(self):
        labels = np.array(self.labels, dtype=np.int64).reshape(-1)
        labels.setflags(write=False)
        object.__setattr__(self, "paths", tuple(self.paths))
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "class_names", tuple(self.class_names))
        if len(self.paths) != len(labels):
            raise ValueError(
                "Every image needs one label. Received: "
                f"{len(self.paths)} paths and {len(labels)} labels."
            )
        if len(labels) and not (
            0 <= labels.min() and labels.max() < len(self.class_names)
        ):
            raise ValueError(
                "Labels must be indices into class_names. Received: labels "
                f"from {labels.min()} to {labels.max()} for "
                f"{len(self.class_names)} class names."
            )

    def __len__(self):
        return len(self.paths)

    def take(self, indices):
        """Returns an `ImageSet` of the images at `indices`, in that order.

        Args:
            indices: int array of shape `(num_taken,)`, or a bool array of
                shape `(num_images,)`.
        """
        indices = np.asarray(indices)
        if indices.dtype == bool:
            indices = np.flatnonzero(indices)
        indices = indices.astype(np.int64).reshape(-1)
        paths = tuple(self.paths[i] for i in indices)
        return ImageSet(paths, self.labels[indices], self.class_names)

    def class_counts(self):
        """Returns the number of images of each class, `(num_classes,)`."""
        return np.bincount(self.labels, minlength=len(self.class_names))


def open_source(source, validation_fraction=0.1, test_fraction=0.2, seed=0):
    """Finds the photos of a data set and their splits.

    A split that exists as a folder is taken as it is. Without split folders
    every class is divided by the fractions; without a validation folder the
    validation photos come out of the training photos. The division depends
    only on `seed` and on the names of classes and files, so that it is the
    same on every machine, and adding photos hardly moves the others.

    Args:
        source: str or Path. A folder, a .csv or .txt list, a folder of
            shards (whose splits were fixed when it was written), or
            `"tfds:NAME"`, `"tfds:NAME/CONFIG"` or `"tfds:NAME:VERSION"`.
        validation_fraction: float in `[0, 1)`. Part of the training photos
            that becomes the validation split. `0` for none. Every class
            keeps two training photos if it has them.
        test_fraction: float in `[0, 1)`. Part of all photos that becomes
            the test split when the source has no split folders.
        seed: int. Chooses which photos.

    Returns:
        A dict of `ImageSet` with the keys `"train"`, `"val"` and `"test"`,
        all with the classes of the training photos. A split that does not
        exist is empty.

    Raises:
        FileNotFoundError: when the folder does not exist.
        ValueError: when it does not hold at least two classes of images.
    """
    check_fractions(validation_fraction, test_fraction)
    if str(source).startswith("tfds:"):
        from mamc_keras.data.formats.tfds_source import prepare_class_folders

        source = prepare_class_folders(str(source)[len("tfds:") :])
    if is_shard_folder(source):
        names, splits = read_shards(source)
        return {
            name: ImageSet(*splits.get(name, ((), ())), names)
            for name in ("train", "val", "test")
        }
    splits = _read(source)
    undivided = "all" in splits
    if undivided:
        splits = {"train": splits["all"]}
    class_names = find_class_names(source, splits)
    if undivided:
        splits["train"], splits["test"] = _divide(
            splits["train"], test_fraction, f"{seed}/test"
        )
    if "val" not in splits:
        splits["train"], splits["val"] = _divide(
            splits["train"], validation_fraction, f"{seed}/val"
        )
    return {
        name: _image_set(splits.get(name, {}), class_names)
        for name in ("train", "val", "test")
    }


def _read(source):
    """Gives the splits as dicts of class name to paths, `"all"` if none."""
    if is_list(source):
        return read_lists(Path(source).expanduser())
    root = existing_folder(source)
    known = read_author_format(root)
    if known:
        return known
    split_folders = find_split_folders(root)
    if split_folders:
        return {
            name: list_classes(folder) for name, folder in split_folders.items()
        }
    lists = find_lists(root)
    if lists:
        return read_lists(lists)
    return {"all": list_classes(root)}


def _divide(classes, fraction, salt, keep=2):
    """Moves a part of each class out, within one photo of its share.

    Shares that are not whole numbers are carried on to the next class, so
    that many small classes together still give up the right number.
    """
    rest, moved, carry = {}, {}, 0.0
    for name in sorted(classes, key=natural_key):
        paths = classes[name]
        share = len(paths) * fraction
        # What a class too small to give cannot pile up on one later class.
        carry = min(carry + share, share + 1)
        count = min(math.floor(carry + 0.5), math.ceil(share))
        count = max(0, min(count, len(paths) - keep))
        carry -= count
        order = sorted(paths, key=lambda path: _rank(path, name, salt))
        moved[name] = sorted(order[:count])
        rest[name] = sorted(order[count:])
    return rest, moved


def _rank(path, class_name, salt):
    key = os.fsencode(f"{salt}/{class_name}/{os.path.basename(path)}")
    return hashlib.sha256(key).digest()


def _image_set(classes, class_names):
    paths, labels = [], []
    for label, name in enumerate(class_names):
        paths.extend(classes.get(name, ()))
        labels.extend([label] * len(classes.get(name, ())))
    return ImageSet(paths, np.array(labels, dtype=np.int64), class_names)
