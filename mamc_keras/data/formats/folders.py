"""Finds splits, classes and image files in folders."""

import os
import re
from pathlib import Path

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


def natural_key(name):
    """Sort key by which `"class 2"` comes before `"class 10"`."""
    parts = re.split(r"([0-9]+)", name)
    key = [
        (int(part), "") if i % 2 else (-1, part.casefold())
        for i, part in enumerate(parts)
    ]
    return key, name


def existing_folder(source):
    """Returns the `Path` of a folder that exists, or raises what is wrong."""
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
    return sorted(names)


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


def list_classes(folder):
    """Lists the images of each class.

    Args:
        folder: str or Path. It holds a folder for each class.

    Returns:
        A dict of class name to list of paths, empty class folders included.
    """
    return {
        name: _list_images(os.path.join(folder, name))
        for name in _subfolders(folder)
    }


def find_split_folders(root):
    """Finds the folders of the splits.

    Args:
        root: Path.

    Returns:
        A dict of `"train"`, `"val"`, `"test"` to folder, empty when `root`
        holds class folders.
    """
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


def find_class_names(root, splits):
    """Takes the classes from the training images.

    Args:
        root: str or Path. Named in errors.
        splits: dict of split name to what `list_classes` gave for it.

    Returns:
        A tuple of str in natural order.

    Raises:
        ValueError: without two classes of images, or when another split has
            a class that training lacks.
    """
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
