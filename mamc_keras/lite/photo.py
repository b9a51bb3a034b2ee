"""Photos for the phone runtime: decoded, cut and shrunk as in training."""

from pathlib import Path

import numpy as np


def resize(image, image_size, crop_to_aspect_ratio=True):
    """Cuts and shrinks a photo as `keras.layers.Resizing` does.

    Bilinear, and antialiased: each new pixel is the mean of the old ones
    under a triangle that is as wide as the shrinking needs.

    Args:
        image: uint8 array `(any height, any width, channels)`.
        image_size: `(height, width)` in pixels.
        crop_to_aspect_ratio: bool. Cut around the centre to the shape of
            `image_size` first, or else squash the whole photo.

    Returns:
        uint8 array `(height, width, channels)`.
    """
    if crop_to_aspect_ratio:
        image = _crop(image, *image_size)
    if image.shape[:2] == tuple(image_size):
        return np.ascontiguousarray(image)
    rows = _shrink_rows(image, image_size[0])
    both = _shrink_rows(rows.transpose(1, 0, 2), image_size[1])
    return np.clip(np.rint(both.transpose(1, 0, 2)), 0, 255).astype(np.uint8)


def read_image(path):
    """Decodes a photo to RGB with Pillow, as training decodes it.

    A JPEG is turned upright as its EXIF tag says; transparency is dropped.

    Args:
        path: str or Path.

    Returns:
        uint8 array `(height, width, 3)`.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is no image.
    """
    from PIL import Image
    from PIL import ImageOps

    if not Path(path).is_file():
        raise FileNotFoundError(
            f"There is no such photo. Received: {str(path)!r}."
        )
    try:
        with Image.open(path) as image:
            if image.format == "JPEG":
                image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I;16"):
                high_bytes = np.asarray(image) >> 8
                image = Image.fromarray(high_bytes.astype(np.uint8))
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"This file is no image that can be read. Received: {str(path)!r}. "
            "Save it again as JPEG or PNG."
        ) from error


def _crop(image, height, width):
    """The largest centred part of the shape `height : width`."""
    # Whole pixels the way Keras rounds them, in float32 as there.
    old_height, old_width = image.shape[:2]
    new_height = int(np.float32(old_width * height) / np.float32(width))
    new_width = int(np.float32(old_height * width) / np.float32(height))
    new_height = min(max(new_height, 1), old_height)
    new_width = min(max(new_width, 1), old_width)
    top = (old_height - new_height) // 2
    left = (old_width - new_width) // 2
    return image[top : top + new_height, left : left + new_width]


def _shrink_rows(image, size):
    """`(n, m, channels)` of any type to float32 `(size, m, channels)`."""
    if len(image) == size:
        return image.astype(np.float32)
    first, weights = _triangles(len(image), size)
    result = np.zeros((size, *image.shape[1:]), np.float32)
    # One old row of every new one at a time, in TensorFlow's order of sums:
    # then even ties round alike. A large photo is never all float32.
    for k in range(weights.shape[1]):
        rows = image[np.minimum(first + k, len(image) - 1)]
        result += weights[:, k, None, None] * rows.astype(np.float32)
    return result


def _triangles(old_size, size):
    """Which old pixels a new one is made of, with TensorFlow's roundings.

    Returns the number of the first old pixel, int `(size,)`, and the weights
    from there on, float32 `(size, most pixels of one)`; the rest is 0.
    """
    one, half = np.float32(1), np.float32(0.5)
    step = one / (np.float32(size) / np.float32(old_size))
    radius = max(step, one)  # old pixels on each side of a new one
    centres = (np.arange(size, dtype=np.float32) + half) * step
    first = np.ceil(centres - radius - half).astype(int).clip(0)
    last = np.floor(centres + radius - half).astype(int)
    last = last.clip(None, old_size - 1)
    pixels = first[:, None] + np.arange((last - first).max() + 1)
    distances = pixels.astype(np.float32) + half - centres[:, None]
    weights = np.maximum(one - np.abs(distances * (one / radius)), 0)
    weights[pixels > last[:, None]] = 0
    totals = np.zeros(size, np.float32)
    for column in weights.T:
        totals += column
    return first, weights * (one / totals)[:, None]
