"""Boxes must land where the pixels land: found again in the view itself."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from PIL import ImageOps
from test_pipeline import with_orientation

from mamc_keras.data.pipeline import augment_image
from mamc_keras.data.view_boxes import augment_boxes

SIZE = (96, 80)


def extent(picture):
    """Top, left, bottom, right of the bright part; `None` without one."""
    bright = np.asarray(picture).min(axis=-1) > 128
    if not bright.any():
        return None
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    return np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1])


def photo(value):
    """A dark JPEG with a white box off its centre, and the upright box."""
    pixels = np.full((150, 220, 3), 20, np.uint8)
    pixels[30:90, 120:200] = 240
    contents = with_orientation(Image.fromarray(pixels), value)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(contents)))
    return contents, extent(upright)


@pytest.mark.parametrize("policy", ["light", "standard"])
@pytest.mark.parametrize("value", range(1, 9))
def test_box_is_where_the_pixels_are(value, policy, tmp_path):
    contents, box = photo(value)
    path = tmp_path / "photo.jpg"
    path.write_bytes(contents)
    compared = 0
    for seed in range(12):
        view = augment_image(str(path), SIZE, policy, (seed, 1)).numpy()
        moved = augment_boxes(contents, [box], SIZE, policy, (seed, 1))[0]
        seen = extent(view)
        sides = moved[2:] - moved[:2]
        assert (seen is not None) or tf.reduce_min(sides) < 2
        if seen is not None and tf.reduce_min(sides) > 4:
            np.testing.assert_allclose(moved, seen, atol=2.5)
            compared += 1
    assert compared >= 6


def test_png_and_a_box_outside_of_the_view():
    stream = io.BytesIO()
    Image.fromarray(np.zeros((60, 90, 3), np.uint8)).save(stream, "PNG")
    boxes = [[0, 0, 60, 90], [-50, -50, -40, -40]]
    moved = augment_boxes(stream.getvalue(), boxes, SIZE, "light", (0, 0))
    np.testing.assert_allclose(moved[0], [0, 0, *SIZE], atol=1e-4)
    height, width = (moved[1, 2:] - moved[1, :2]).numpy()
    assert height == 0 and width == 0


@pytest.mark.parametrize("policy", ["none", "strong"])
def test_policies_that_boxes_cannot_follow(policy):
    with pytest.raises(ValueError, match=f"policy='{policy}'"):
        augment_boxes(photo(1)[0], [[0, 0, 1, 1]], SIZE, policy, (0, 0))
