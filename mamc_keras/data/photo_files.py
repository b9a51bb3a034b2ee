"""Photo files in any folder, and their pixels as evaluation sees them."""

import functools
import os

import tensorflow as tf

from mamc_keras.data.checking.findings import Problem
from mamc_keras.data.checking.headers import read_header
from mamc_keras.data.checking.inspection import reason_not_to_decode
from mamc_keras.data.decode import decode_image
from mamc_keras.data.decode import resize_image
from mamc_keras.data.formats.folders import IMAGE_SUFFIXES
from mamc_keras.data.formats.folders import OTHER_SUFFIXES
from mamc_keras.data.formats.folders import existing_folder
from mamc_keras.data.reading import read_bytes


def find_photos(folder):
    """Lists every photo in a folder and the folders in it.

    Args:
        folder: str or Path.

    Returns:
        list of str, paths from `folder`, in an order that stays the same.

    Raises:
        FileNotFoundError: when the folder does not exist.
        ValueError: when it holds no photo.
    """
    root = existing_folder(folder)
    suffixes = IMAGE_SUFFIXES + OTHER_SUFFIXES
    found = []
    for place, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        inside = os.path.relpath(place, root)
        found += [
            os.path.normpath(os.path.join(inside, name))
            for name in sorted(files)
            if name.lower().endswith(suffixes) and not name.startswith(".")
        ]
    if not found:
        raise ValueError(
            f"There is no photo to index. Received: {str(folder)!r} without "
            f"{', '.join(IMAGE_SUFFIXES)} files. Give the folder that holds "
            "the photos, in any depth."
        )
    return found


def read_pixels(path, size, crop):
    """Reads a file as evaluation does, or says what is wrong with it.

    Args:
        path: str.
        size: `(height, width)` in pixels.
        crop: bool. Cut around the centre, or squash.

    Returns:
        uint8 array `(height, width, 3)`, or a `Problem`.
    """
    try:
        contents = read_bytes(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return Problem(path, "missing", f"cannot be read ({reason})")
    if not contents:
        return Problem(path, "empty", "is an empty file")
    reason = reason_not_to_decode(contents, read_header(contents))
    if reason:
        return Problem(path, *reason)
    try:
        return _decoder(size, crop)(tf.constant(contents)).numpy()
    except tf.errors.OpError:
        return Problem(path, "damaged", "is a damaged file")


@functools.lru_cache(maxsize=8)
def _decoder(size, crop):
    """Returns a graph, so that several threads can decode at once."""

    @tf.function(input_signature=[tf.TensorSpec((), tf.string)])
    def decode(contents):
        return resize_image(decode_image(contents), size, crop)

    return decode
