"""Photos that one camera took within moments of each other.

The third shot of the same bird differs from the first in every pixel and
still tells the test what training has seen. What links them is the clock in
their EXIF block.
"""

import datetime
import struct

import numpy as np

BURST_SECONDS = 5  # between two photos, not from the first to the last
_HEAD = 2**17  # bytes; an EXIF block is at most 64 KB and comes first
_MAKE, _MODEL, _EXIF = 0x010F, 0x0110, 0x8769
_TAKEN, _SUBSECOND, _SERIAL = 0x9003, 0x9291, 0xA431
_TEXT, _LONG = 2, 4


def taken_at(path):
    """Reads from the EXIF block of a JPEG which camera took it and when.

    Args:
        path: str.

    Returns:
        A tuple of str, the camera's make, model and serial number, and float,
        seconds of the camera's clock; `None` where one of the two is missing.
    """
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    start = head.find(b"Exif\x00\x00")
    if not head.startswith(b"\xff\xd8\xff") or start < 0:
        return None
    try:
        tags = _read_tags(head[start + 6 :])
        camera = [tags.get(tag, "") for tag in (_MAKE, _MODEL, _SERIAL)]
        taken = datetime.datetime.strptime(tags[_TAKEN], "%Y:%m:%d %H:%M:%S")
    except (struct.error, KeyError, ValueError):
        return None
    if not camera[0] and not camera[1]:
        return None
    # No time zone: an hour must not vanish when the clocks are changed.
    seconds = (taken - datetime.datetime(1970, 1, 1)).total_seconds()
    part = tags.get(_SUBSECOND, "")
    if part.isdecimal() and part.isascii():
        seconds += float(f"0.{part}")
    return "/".join(camera), seconds


def burst_pairs(stamps, labels, seconds=BURST_SECONDS):
    """Links each photo to the next of the same camera and class.

    Args:
        stamps: sequence of what `taken_at` gave for each photo.
        labels: int array `(num_images,)`.
        seconds: int. How far apart the two photos of a link may be.

    Returns:
        int array `(num_pairs, 3)`: two indices, and the seconds between them,
        rounded up.
    """
    known = [
        (camera, int(label), time, i)
        for i, (stamp, label) in enumerate(zip(stamps, labels, strict=True))
        if stamp is not None
        for camera, time in [stamp]
    ]
    known.sort()
    pairs = [
        (i, j, int(np.ceil(after - before)))
        for (*who, before, i), (*other, after, j) in zip(
            known, known[1:], strict=False
        )
        if who == other and after - before <= seconds
    ]
    return np.array(pairs, np.int64).reshape(-1, 3)


def _read_tags(block):
    """Reads the texts of a TIFF block's first and EXIF directory."""
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return {}
    (first,) = struct.unpack_from(f"{order}I", block, 4)
    tags = _read_directory(block, order, first)
    if _EXIF in tags:
        tags |= _read_directory(block, order, tags[_EXIF])
    return tags


def _read_directory(block, order, offset):
    (count,) = struct.unpack_from(f"{order}H", block, offset)
    tags = {}
    for place in range(offset + 2, offset + 2 + 12 * count, 12):
        tag, kind, length, value = struct.unpack_from(
            f"{order}HHII", block, place
        )
        if kind == _TEXT:
            # Up to four bytes stand in the entry itself.
            start = place + 8 if length <= 4 else value
            text = block[start : start + length].split(b"\x00")[0]
            tags[tag] = text.decode("latin-1").strip()
        elif kind == _LONG and tag == _EXIF:
            tags[tag] = value
    return tags
