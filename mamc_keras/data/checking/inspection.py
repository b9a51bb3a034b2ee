"""What can be said about one image file."""

import functools
import hashlib
import os

import tensorflow as tf

from mamc_keras.data.checking.findings import Problem
from mamc_keras.data.checking.headers import read_header
from mamc_keras.data.checking.near_duplicates import CELLS
from mamc_keras.data.checking.near_duplicates import fingerprint
from mamc_keras.data.decode import decode_image
from mamc_keras.data.decode import orientation
from mamc_keras.data.formats.folders import IMAGE_SUFFIXES
from mamc_keras.data.reading import read_bytes

SMALLEST_SIDE = 8  # pixels; less shows nothing that could be learned
HUGE_SIDE = 6000  # pixels; more is only slow
HUGE_BYTES = 50_000_000
# Decoded, 600 MB. The largest cameras take 150 million.
MOST_PIXELS = 200_000_000
_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "WebP": (".webp",),
}


def inspect_file(path):
    """Reads and decodes a file the way training does.

    Args:
        path: str.

    Returns:
        A tuple of the list of `Problem`s, the SHA-256 of the contents and
        the fingerprint of the picture, `None` where there are none.
    """
    try:
        contents = read_bytes(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        message = f"cannot be read ({reason})"
        return [Problem(path, "missing", message)], None, None
    if not contents:
        return [Problem(path, "empty", "is an empty file")], None, None
    digest = hashlib.sha256(contents).digest()
    header = read_header(contents)
    reason = reason_not_to_decode(contents, header)
    if reason:
        return [Problem(path, *reason)], digest, None
    try:
        shape, turn, grey = _probe()(tf.constant(contents))
    except tf.errors.OpError:
        kind = "damaged" if header.complete else "cut off"
        message = f"is a {kind.replace(' ', '-')} {header.format} file"
        return [Problem(path, kind, message)], digest, None
    height, width, _ = shape.numpy()
    if min(height, width) < SMALLEST_SIDE:
        message = (
            f"is only {width} x {height} pixels; at least {SMALLEST_SIDE} "
            "are needed on each side"
        )
        return [Problem(path, "too small", message)], digest, None
    notes = list(_notes(path, header, len(contents), int(turn)))
    return notes, digest, fingerprint(grey.numpy())


@functools.cache
def _probe():
    """Returns a graph, so that several threads can decode at once."""

    @tf.function(input_signature=[tf.TensorSpec((), tf.string)])
    def probe(contents):
        image = decode_image(contents)
        small = tf.image.resize(image, (CELLS, CELLS), "area")
        turn = tf.cond(
            tf.io.is_jpeg(contents),
            lambda: orientation(contents),
            lambda: 1,
        )
        return tf.shape(image), turn, tf.reduce_mean(small, axis=-1)

    return probe


def reason_not_to_decode(contents, header):
    """Says why a file must not even be decoded.

    Args:
        contents: bytes.
        header: what `read_header` gave for them.

    Returns:
        `(kind, message)` as a `Problem` has them, or `None`.
    """
    found = header.format
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
    if header.width * header.height > MOST_PIXELS:
        # Decoding it would fill the memory, and a few bytes can claim it.
        return "too large", (
            f"has {header.width} x {header.height} pixels; at most "
            f"{MOST_PIXELS:,} are decoded"
        )
    return None


def _notes(path, header, num_bytes, turn):
    """Yields what is worth knowing about a file that can be used."""
    found = header.format
    suffix = os.path.splitext(path)[1].lower()
    if suffix in IMAGE_SUFFIXES and suffix not in _SUFFIXES[found]:
        yield Problem(path, "suffix", f"is a {found} file in spite of its name")
    kind, colours = _unusual_colours(header)
    if colours:
        yield Problem(path, kind, f"has {colours}, made into 8-bit RGB")
    if turn != 1:
        message = "was taken with the camera on its side, and is turned upright"
        yield Problem(path, "orientation", message)
    if header.frames > 1:
        message = (
            f"is an animation of {header.frames} pictures; the first counts"
        )
        yield Problem(path, "animation", message)
    if max(header.width, header.height) > HUGE_SIDE or num_bytes > HUGE_BYTES:
        message = (
            f"has {header.width} x {header.height} pixels in "
            f"{num_bytes / 1e6:.1f} MB"
        )
        yield Problem(path, "huge", message)


def _unusual_colours(header):
    """Returns (kind, what is unusual)."""
    if header.colours == "cmyk":
        return "cmyk", "CMYK colours"
    parts = ["16 bits per colour"] * (header.bits == 16)
    parts += ["shades of grey"] * ("grey" in header.colours)
    parts += ["transparency"] * ("alpha" in header.colours)
    return "16-bit" if header.bits == 16 else "colours", " and ".join(parts)
