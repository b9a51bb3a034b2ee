"""Photos and heat maps as addresses that need no other file."""

import base64
import io

import numpy as np
from PIL import Image

from mamc_keras.data.pipeline import load_image
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
    image = Image.fromarray(np.ascontiguousarray(picture))
    image.thumbnail((SIDE, SIDE))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=75)
    code = base64.b64encode(stream.getvalue()).decode("ascii")
    return f"data:image/jpeg;base64,{code}"


def seen(model, paths):
    """Reads photos as the model sees them.

    Args:
        model: `MAMCImageClassifier`.
        paths: sequence of str.

    Returns:
        `(photos, index)`: uint8 array `(m, height, width, 3)` and the places
        in `paths` of those that could be read.
    """
    photos, index = [], []
    for i, path in enumerate(paths):
        try:
            photo = load_image(path, model.image_size, crop_of(model))
        except Exception as error:
            # TensorFlow's errors share no base class with those of files.
            if not isinstance(error, OSError) and not type(
                error
            ).__module__.startswith("tensorflow"):
                raise
            continue
        photos.append(np.asarray(photo))
        index.append(i)
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
