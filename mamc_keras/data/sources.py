"""Where photos come from: class folders (or TFDS, made into class folders).

Two layouts are understood, `root/<class>/*.jpg` and
`root/<split>/<class>/*.jpg`. Everything after this file knows only paths,
integer labels and class names.
"""

import dataclasses
import hashlib
import math
import os
import re
from pathlib import Path

import numpy as np

# What TensorFlow decodes, and what people also keep in photo folders. The
# second kind is listed too: `checks.py` then names it and leaves it out,
# where skipping it here would lose photos without a word.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")
OTHER_SUFFIXES = (".heic", ".heif", ".avif", ".tif", ".tiff")
SPLIT_FOLDERS = {
    "train": ("train",),
    "val": ("val", "valid", "validation"),
    "test": ("test",),
}


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
            indices: int array of shape `(num_taken,)`.
        """
        indices = np.asarray(indices, dtype=np.int64).reshape(-1)
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
        source: str or Path. A folder, or `"tfds:NAME"`,
            `"tfds:NAME/CONFIG"` or `"tfds:NAME:VERSION"`.
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
    if str(source).startswith("tfds:"):
        from mamc_keras.data.tfds_source import prepare_class_folders

        source = prepare_class_folders(str(source)[len("tfds:") :])
    root = _existing_folder(source)
    split_folders = _find_split_folders(root)
    if split_folders:
        splits = {
            name: _list_classes(folder)
            for name, folder in split_folders.items()
        }
    else:
        splits = {"train": _list_classes(root)}
    class_names = _class_names(root, splits)
    if "test" not in splits and not split_folders:
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


def natural_key(name):
    """Sort key by which `"class 2"` comes before `"class 10"`."""
    parts = re.split(r"([0-9]+)", name)
    key = [
        (int(part), "") if i % 2 else (-1, part.casefold())
        for i, part in enumerate(parts)
    ]
    return key, name


def _existing_folder(source):
    root = Path(source).expanduser()
    if not root.exists():
        raise FileNotFoundError(
            "The folder of photos does not exist. Received: "
            f"source='{source}'. Check the path; the current folder is "
            f"'{Path.cwd()}'."
        )
    if not root.is_dir():
        raise ValueError(
            f"The source must be a folder. Received the file '{source}'. "
            "Unpack it if it is an archive, and give the folder that holds "
            "one folder per class."
        )
    return root


def _subfolders(folder):
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if not entry.name.startswith((".", "__MACOSX")) and entry.is_dir()
        ]
    return sorted(names, key=natural_key)


def _list_images(folder):
    """Returns the image paths directly inside `folder`, sorted by name."""
    suffixes = IMAGE_SUFFIXES + OTHER_SUFFIXES
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if entry.name.lower().endswith(suffixes)
            and not entry.name.startswith(".")
            and not entry.is_dir()
        ]
    return [os.path.join(folder, name) for name in sorted(names)]


def _list_classes(folder):
    """Returns `{class name: [paths]}`, empty class folders included."""
    return {
        name: _list_images(os.path.join(folder, name))
        for name in _subfolders(folder)
    }


def _find_split_folders(root):
    """Returns `{split: folder}`, or `{}` when `root` holds class folders."""
    found = {}
    for folder in _subfolders(root):
        for split, names in SPLIT_FOLDERS.items():
            # A class may be called "train" too: a split holds no photo
            # directly, only class folders.
            path = os.path.join(root, folder)
            if folder.lower() not in names or _list_images(path):
                continue
            if not _subfolders(path):
                continue
            if split in found:
                raise ValueError(
                    f"Two folders look like the {split} split: "
                    f"'{found[split]}' and '{path}'. Rename or remove one."
                )
            found[split] = path
    if found and "train" not in found:
        raise ValueError(
            f"'{root}' has the split folders {sorted(found)} but no folder "
            "'train'. Add 'train/<class>/', or give the folder that holds "
            "the class folders."
        )
    return found


def _class_names(root, splits):
    train = splits["train"]
    if not any(train.values()):
        loose = len(_list_images(root))
        reason = (
            f"{loose} images but no class folders with images"
            if loose
            else "no class folders with images"
        )
        raise ValueError(
            f"The folder must hold one folder of images per class. "
            f"'{root}' has {reason} ({', '.join(IMAGE_SUFFIXES)}). Put the "
            "images of each class into a folder named like the class."
        )
    empty = [name for name, paths in train.items() if not paths]
    if empty:
        raise ValueError(
            f"Class folders without images in '{root}': {_listed(empty)}. "
            "Add images to them or remove them."
        )
    if len(train) < 2:
        raise ValueError(
            "Training needs at least two classes. "
            f"'{root}' has one class folder: {_listed(train)}. Add a folder "
            "for each further class."
        )
    for split, classes in splits.items():
        unknown = [
            name
            for name, paths in classes.items()
            if paths and name not in train
        ]
        if unknown:
            raise ValueError(
                f"The {split} split of '{root}' has classes without "
                f"training images: {_listed(unknown)}. Add training images "
                "for them, rename them, or remove them."
            )
    return tuple(sorted(train, key=natural_key))


def _listed(names, limit=5):
    names = sorted(names, key=natural_key)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(f"'{name}'" for name in names[:limit]) + more


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
