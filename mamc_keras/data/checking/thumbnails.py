"""Small pictures inside a page, so that the page needs no other file."""

import base64
import io

import numpy as np
import tensorflow as tf
from PIL import Image

from mamc_keras.data.checking.headers import read_header
from mamc_keras.data.checking.inspection import MOST_PIXELS
from mamc_keras.data.decode import decode_image
from mamc_keras.data.reading import read_bytes

SIDE = 128  # pixels


def thumbnail(path):
    """Makes a small JPEG of a photo.

    Args:
        path: str.

    Returns:
        str, a `data:` address, or `None` where there is no picture.
    """
    try:
        image = _decoded(path)
    except (OSError, tf.errors.OpError):
        return None
    if image is None:
        return None
    # Whole steps first: resizing all of a huge photo takes long.
    step = max(1, min(image.shape[:2]) // (4 * SIDE))
    return jpeg_address(image[::step, ::step], SIDE, 70)


def jpeg_address(picture, side, quality):
    """Makes a small JPEG of an array.

    Args:
        picture: uint8 array `(height, width, 3)`.
        side: int, most pixels of the longer side.
        quality: int, of the JPEG, to 95.

    Returns:
        str, a `data:` address.
    """
    image = Image.fromarray(np.ascontiguousarray(picture))
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    code = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/jpeg;base64,{code}"


def _decoded(path):
    contents = read_bytes(path)
    header = read_header(contents)
    if header.width * header.height > MOST_PIXELS:
        return None
    try:
        return decode_image(contents).numpy()
    except tf.errors.OpError:
        # What there is of a damaged photo shows what happened to it.
        return tf.io.decode_jpeg(
            contents,
            channels=3,
            acceptable_fraction=0.05,
        ).numpy()
