"""What is read from the bytes of an image file is what Pillow reads."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from PIL import Image

from mamc_keras.data.checking.headers import read_header


def encoded(suffix, mode="RGB", size=(37, 21), **options):
    shape = (size[1], size[0], 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, suffix, **options)
    return buffer.getvalue()


def animation(count):
    frames = [Image.new("RGB", (20, 12), (30 * i, 9, 9)) for i in range(count)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


FILES = {
    "jpeg": encoded("JPEG"),
    "progressive jpeg": encoded("JPEG", progressive=True),
    "jpeg with a picture inside": encoded(
        "JPEG", exif=b"Exif\x00\x00" + encoded("JPEG", size=(8, 8))
    ),
    "grey jpeg": encoded("JPEG", "L"),
    "cmyk jpeg": encoded("JPEG", "CMYK"),
    "png": encoded("PNG"),
    "grey png": encoded("PNG", "L"),
    "grey alpha png": encoded("PNG", "LA"),
    "alpha png": encoded("PNG", "RGBA"),
    "palette png": encoded("PNG", "P"),
    "deep png": encoded("PNG", "I;16"),
    "gif": encoded("GIF"),
    "bmp": encoded("BMP"),
    "lossy webp": encoded("WEBP"),
    "lossless webp": encoded("WEBP", lossless=True),
    "transparent webp": encoded("WEBP", "RGBA"),
}


@pytest.mark.parametrize("case", FILES)
def test_size_and_colours(case):
    header = read_header(FILES[case])
    with Image.open(io.BytesIO(FILES[case])) as image:
        assert header.format.upper() == image.format
        assert (header.width, header.height) == image.size == (37, 21)
        assert header.frames == getattr(image, "n_frames", 1) == 1
    assert header.complete
    colours = [c for c in ("grey alpha", "alpha", "grey", "cmyk") if c in case]
    if "deep" in case:
        colours = ["grey"]
    if "webp" in case:  # Not looked at there.
        colours = []
    assert header.colours == (colours[0] if colours else "")
    assert header.bits == (16 if "deep" in case else 8)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_counts_the_pictures_of_a_gif(count):
    assert read_header(animation(count)).frames == count


@pytest.mark.parametrize("case", FILES)
def test_every_cut_is_seen(case):
    contents = FILES[case]
    last = len(contents) - (8 if "png" in case else 1)
    for end in np.linspace(16, last, 40).astype(int):
        header = read_header(contents[:end])
        # A semicolon in the pixels of a GIF may look like its end.
        if case != "gif" or contents[end - 1 : end] != b";":
            assert not header.complete, end


def test_other_bytes_are_no_image():
    assert read_header(b"").format is None
    assert read_header(b"<html>").format is None
    assert read_header(b"II*\x00 and so on").format == "TIFF"


@settings(max_examples=200, deadline=None)
@given(
    case=st.sampled_from(sorted(FILES)),
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255))),
    end=st.integers(0, 4000),
    extra=st.binary(max_size=40),
)
def test_no_bytes_raise(case, changes, end, extra):
    contents = bytearray(FILES[case])
    for place, value in changes:
        contents[place % len(contents)] = value
    header = read_header(bytes(contents[:end]) + extra)
    assert header.width >= 0 and header.height >= 0


def test_damage_in_the_middle_is_not_called_a_cut():
    contents = bytearray(FILES["jpeg"])
    contents[4:6] = b"\xff\xff"  # The first segment claims to be long.
    assert read_header(bytes(contents)).complete
