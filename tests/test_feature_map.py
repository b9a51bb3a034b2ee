"""The map in what an encoder gives: last stage, or patches in their places."""

import keras
import numpy as np
import pytest
from keras import ops

from mamc_keras.models.encoder import MAMCBackbone
from mamc_keras.models.encoder import feature_map
from mamc_keras.models.split import split_encoder


def tokens(count, channels=5, images=2):
    rng = np.random.default_rng(0)
    return rng.normal(size=(images, count, channels)).astype("float32")


@pytest.mark.parametrize(
    ("others", "grid", "image"),
    [
        (0, (4, 4), (64, 64)),
        (1, (4, 4), (64, 64)),
        (5, (14, 14), (224, 224)),
        (1, (3, 6), (48, 96)),
        (2, (9, 6), (96, 64)),
    ],
)
def test_patches_go_back_where_they_come_from(others, grid, image):
    rows, columns = grid
    x = tokens(others + rows * columns)
    found = ops.convert_to_numpy(feature_map(x, (*image, 3), "vit"))
    assert found.shape == (2, rows, columns, 5)
    for i in range(rows):
        for j in range(columns):
            np.testing.assert_array_equal(
                found[:, i, j], x[:, others + i * columns + j]
            )


def test_of_several_outputs_the_last_is_taken():
    maps = [np.zeros((1, s, s, 3), "float32") for s in (8, 4)]
    assert feature_map(maps, (32, 32, 3), "net") is maps[1]
    assert feature_map(dict(a=maps[0], b=maps[1]), (32, 32, 3), "") is maps[1]


@pytest.mark.parametrize(
    ("shape", "image"),
    [((2, 47, 5), (64, 64)), ((2, 16, 5), (None, None)), ((2, 7), (64, 64))],
)
def test_what_is_no_map_is_refused(shape, image):
    with pytest.raises(ValueError, match="one feature map.*Received: mine"):
        feature_map(np.zeros(shape, "float32"), (*image, 3), "mine")


def test_named_input_and_tokens_make_a_backbone():
    image = keras.Input((32, 32, 3), name="images")
    x = keras.layers.Conv2D(6, 8, 8)(image)
    x = keras.layers.Reshape((16, 6))(x)
    encoder = keras.Model({"images": image}, x)
    backbone = MAMCBackbone(encoder)
    assert backbone.output_shape == (None, 4, 4, 6)
    photos = np.random.default_rng(0).normal(size=(2, 32, 32, 3))
    expected = encoder.layers[1](photos)
    np.testing.assert_allclose(
        backbone.predict(photos, verbose=0), expected, atol=1e-5
    )
    again = MAMCBackbone.from_config(backbone.get_config())
    assert again.output_shape == (None, 4, 4, 6)
    with pytest.raises(ValueError, match="not one feature map.*fast=False"):
        split_encoder(encoder, (32, 32))
