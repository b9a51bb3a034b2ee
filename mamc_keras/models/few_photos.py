"""The few photos that a class is taught from, and some of the old ones."""

import logging
import os

import numpy as np

from mamc_keras.data.checking.findings import Problem
from mamc_keras.data.formats.folders import existing_folder
from mamc_keras.data.formats.folders import list_classes
from mamc_keras.data.photo_files import find_photos
from mamc_keras.data.photo_files import read_pixels
from mamc_keras.data.sources import open_source
from mamc_keras.models.settings import crop_of
from mamc_keras.run_folder import is_begun
from mamc_keras.run_folder import read_recipe

MOST_KNOWN = 200  # photos; a mean of more hardly moves
_log = logging.getLogger("mamc_keras")


def read_classes(folder, model):
    """Reads photos of new classes.

    Args:
        folder: str or Path, with a folder of photos for each class.
        model: `MAMCImageClassifier` that they are for.

    Returns:
        dict of class name to uint8 array `(n, height, width, 3)`.

    Raises:
        FileNotFoundError: when the folder does not exist.
        ValueError: names a photo that cannot be read, or says that there are
            no class folders.
    """
    classes = list_classes(existing_folder(folder))
    if not classes:
        raise ValueError(
            "Each new class is a folder of photos. Received: "
            f"{str(folder)!r}, which holds no folder. Put the photos of each "
            "class into a folder with its name."
        )
    return {
        name: _read(paths, model) if paths else ()
        for name, paths in classes.items()
    }


def read_known(folder, model):
    """Reads up to 200 photos of old classes, chosen by chance.

    Args:
        folder: str or Path. Photos in it at any depth are taken; those that
            cannot be read are left out.
        model: `MAMCImageClassifier` that they are for.

    Returns:
        uint8 array `(m, height, width, 3)`.

    Raises:
        ValueError: when there is none.
    """
    paths = [os.path.join(folder, name) for name in find_photos(folder)]
    photos, problems = _pixels(_some(paths), model)
    if not photos:
        raise ValueError(
            "None of the known photos can be read. Received: "
            f"{str(folder)!r}, where {problems[0].path!r} "
            f"{problems[0].message}. Give another folder, or leave it out."
        )
    return np.stack(photos)


def known_of_run(preset, model):
    """Reads up to 200 training photos of a run, where they still are.

    Args:
        preset: str or Path; only a run folder knows its photos.
        model: `MAMCImageClassifier` that they are for.

    Returns:
        uint8 array `(m, height, width, 3)`, or `None`.
    """
    if not is_begun(preset):
        return None
    recipe = read_recipe(preset)
    try:
        splits = open_source(
            recipe.source,
            recipe.validation_fraction,
            recipe.test_fraction,
            recipe.seed,
        )
    except (OSError, ValueError):
        splits = {"train": None}
    paths = splits["train"].paths if splits["train"] else ()
    photos, _ = _pixels(_some(paths), model)
    if not photos:
        _log.info("The photos of this run are no longer at %s.", recipe.source)
        return None
    return np.stack(photos)


def _some(paths):
    chosen = np.random.default_rng(0).permutation(len(paths))[:MOST_KNOWN]
    return [paths[i] for i in chosen]


def _read(paths, model):
    photos, problems = _pixels(paths, model)
    if problems:
        raise ValueError(
            "This file is no photo that can be used. Received: "
            f"{problems[0].path!r}, which {problems[0].message}. Remove it, "
            "or save it again as JPEG or PNG."
        )
    return np.stack(photos)


def _pixels(paths, model):
    """Returns the photos, and a `Problem` for each that cannot be read."""

    size, crop = tuple(model.image_size), crop_of(model)
    read = [read_pixels(path, size, crop) for path in paths]
    problems = [r for r in read if isinstance(r, Problem)]
    return [r for r in read if not isinstance(r, Problem)], problems
