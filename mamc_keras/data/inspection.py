"""What can be said about one image file."""

import dataclasses
import functools
import hashlib
import os

import tensorflow as tf

from mamc_keras.data.decode import decode_image
from mamc_keras.data.decode import orientation
from mamc_keras.data.folders import IMAGE_SUFFIXES
from mamc_keras.data.near_duplicates import CELLS
from mamc_keras.data.near_duplicates import fingerprint

SMALLEST_SIDE = 8  # pixels; less shows nothing that could be learned
_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "WebP": (".webp",),
}


@dataclasses.dataclass(frozen=True)
class Problem:
    """One finding about one file, or about a class when `path` is empty.

    Args:
        path: str.
        kind: str, one of `KINDS` in `checks.py`.
        message: str. A sentence for a person.
        left_out: bool. Whether the file is kept out of training.
        twin: str. The path of the other copy of a file that exists twice.
    """

    path: str
    kind: str
    message: str
    left_out: bool = False
    twin: str = ""


def inspect_file(path):
    """Reads and decodes a file the way training does.

    Args:
        path: str.

    Returns:
        A tuple of the list of `Problem`s, the SHA-256 of the contents and
        the fingerprint of the picture, `None` where there are none.
    """
    try:
        with open(path, "rb") as file:
            contents = file.read()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        message = f"cannot be read ({reason})"
        return [Problem(path, "missing", message, True)], None, None
    if not contents:
        problem = Problem(path, "empty", "is an empty file", True)
        return [problem], None, None
    digest = hashlib.sha256(contents).digest()
    reason = _reason_not_to_decode(contents)
    if reason:
        return [Problem(path, *reason, True)], digest, None
    try:
        shape, channels, turn, grey = _probe()(tf.constant(contents))
    except tf.errors.OpError:
        message = f"is a damaged or cut-off {image_format(contents)} file"
        return [Problem(path, "damaged", message, True)], digest, None
    height, width, _ = shape.numpy()
    if min(height, width) < SMALLEST_SIDE:
        message = (
            f"is only {width} x {height} pixels; at least {SMALLEST_SIDE} "
            "are needed on each side"
        )
        return [Problem(path, "too small", message, True)], digest, None
    notes = list(_notes(path, contents, int(channels), int(turn)))
    return notes, digest, fingerprint(grey.numpy())


def image_format(contents):
    """Tells an image format by its first bytes.

    Args:
        contents: bytes.

    Returns:
        str, or `None` for something that is no image.
    """
    brand = contents[8:12] if contents[4:8] == b"ftyp" else b""
    tests = {
        "JPEG": contents.startswith(b"\xff\xd8\xff"),
        "PNG": contents.startswith(b"\x89PNG\r\n\x1a\n"),
        "GIF": contents.startswith((b"GIF87a", b"GIF89a")),
        "BMP": contents.startswith(b"BM"),
        "WebP": contents[:4] == b"RIFF" and contents[8:12] == b"WEBP",
        "TIFF": contents.startswith((b"II*\x00", b"MM\x00*")),
        "AVIF": brand in (b"avif", b"avis"),
        "HEIC": brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"),
    }
    return next((name for name, found in tests.items() if found), None)


@functools.cache
def _probe():
    """Returns a graph, so that several threads can decode at once."""

    @tf.function(input_signature=[tf.TensorSpec((), tf.string)])
    def probe(contents):
        image = decode_image(contents)
        small = tf.image.resize(image, (CELLS, CELLS), "area")
        channels, turn = tf.cond(
            tf.io.is_jpeg(contents),
            lambda: (
                tf.io.extract_jpeg_shape(contents)[2],
                orientation(contents),
            ),
            lambda: (3, 1),
        )
        return tf.shape(image), channels, turn, tf.reduce_mean(small, axis=-1)

    return probe


def _reason_not_to_decode(contents):
    """Returns (kind, message), or `None` for a file that may be decoded."""
    found = image_format(contents)
    if found is None:
        return "not an image", "is not an image"
    advice = "convert it to JPEG or PNG"
    if found not in _SUFFIXES:
        return "unsupported", f"is a {found} file; {advice}"
    if found == "WebP" and contents[12:16] == b"VP8X" and contents[20] & 2:
        return "unsupported", f"is an animated WebP file; {advice}"
    if found == "BMP" and contents[28:30] not in (b"\x18\x00", b"\x20\x00"):
        # TensorFlow takes the colour numbers for shades of grey.
        return "unsupported", f"is a BMP file with a palette; {advice}"
    return None


def _notes(path, contents, channels, turn):
    """Yields what is worth knowing about a file that can be used."""
    found = image_format(contents)
    suffix = os.path.splitext(path)[1].lower()
    if suffix in IMAGE_SUFFIXES and suffix not in _SUFFIXES[found]:
        yield Problem(path, "suffix", f"is a {found} file in spite of its name")
    colours = _unusual_colours(found, contents, channels)
    if colours:
        yield Problem(path, "colours", f"has {colours}, made into 8-bit RGB")
    if turn != 1:
        message = "was taken with the camera on its side, and is turned upright"
        yield Problem(path, "orientation", message)
    if found == "GIF":
        frames = tf.io.decode_gif(contents).shape[0]
        if frames > 1:
            message = f"is an animation of {frames} pictures; the first counts"
            yield Problem(path, "animation", message)


def _unusual_colours(found, contents, channels):
    if found == "JPEG":
        return {1: "shades of grey", 4: "CMYK colours"}.get(channels)
    if found == "PNG":
        # The header's bit depth, and 0 or 4 for grey, 4 or 6 with alpha.
        depth, kind = contents[24], contents[25]
        parts = ["16 bits per colour"] * (depth == 16)
        parts += ["shades of grey"] * (kind in (0, 4))
        parts += ["transparency"] * (kind in (4, 6))
        return " and ".join(parts)
    return None
