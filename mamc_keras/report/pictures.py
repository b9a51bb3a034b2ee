"""Photos and heat maps as addresses that need no other file."""

import numpy as np

from mamc_keras.data.checking.findings import Problem
from mamc_keras.data.checking.thumbnails import jpeg_address
from mamc_keras.data.photo_files import read_pixels
from mamc_keras.evaluation import overlays
from mamc_keras.models.settings import crop_of

SIDE = 180  # pixels


def address(picture):
    """Makes a small JPEG of an array.

    Args:
        picture: array `(height, width, 3)`: uint8, or float from 0 to 1.

    Returns:
        str, a `data:` address.
    """
    if picture.dtype != np.uint8:
        picture = np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)
    return jpeg_address(picture, SIDE, 75)


def seen(model, paths):
    """Reads photos as the model sees them.

    Args:
        model: `MAMCImageClassifier`.
        paths: sequence of str.

    Returns:
        `(photos, index)`: uint8 array `(m, height, width, 3)` and the places
        in `paths` of those that could be read.
    """
    size, crop = tuple(model.image_size), crop_of(model)
    read = [read_pixels(path, size, crop) for path in paths]
    index = [i for i, r in enumerate(read) if not isinstance(r, Problem)]
    photos = [read[i] for i in index]
    return (np.stack(photos) if photos else np.zeros((0, 1, 1, 3))), index


def explained(model, photos, said, true):
    """Draws where each branch looked, and why not the right class.

    Args:
        model: `MAMCImageClassifier`.
        photos: uint8 array `(n, height, width, 3)`.
        said, true: int arrays `(n,)`, classes.

    Returns:
        list of `n` lists of `(caption, address)`.
    """
    if not len(photos):
        return []
    maps = model.attend(photos)
    against = model.evidence(photos, said, true).sum(axis=1)
    rows = []
    for i, photo in enumerate(photos):
        row = [("the photo", address(photo))]
        for p in range(maps.shape[1]):
            heat = overlays.heat(photo, maps[i, p])
            who = f"branch {p + 1}" if model.num_attentions else "it"
            row.append((f"{who} looks here", address(heat)))
        limit = max(np.abs(against[i]).max(), 1e-12)
        tint = overlays.tint(photo, against[i], limit)
        row.append(("red: for the wrong answer", address(tint)))
        rows.append(row)
    return rows
