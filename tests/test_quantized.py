"""Policies survive a preset: int8 weights, and the dtype asked for."""

import keras
import numpy as np
import pytest
from small import batch
from small import encoder

from mamc_keras import MAMCImageClassifier

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have a `quantize` method",
    "ignore:Skipping variable loading for optimizer",
)
SCALE = {"scale": 1 / 128, "offset": -1.0, "image_size": (32, 32)}


def build(network=None):
    keras.utils.set_random_seed(0)
    return MAMCImageClassifier(
        network or encoder(), 4, SCALE, embedding_dim=8, class_names="abcd"
    )


def dtypes(model):
    return [variable.dtype for variable in model.weights]


@pytest.mark.parametrize("form", ["preset", "keras"])
def test_int8_weights_come_back(form, tmp_path):
    network = encoder()
    dense = keras.layers.Dense(16, name="mix")(network.output)
    model = build(keras.Model(network.input, dense))
    images = batch()[0]
    before = model.predict(images, verbose=0)
    model.quantize("int8")
    after = model.predict(images, verbose=0)
    assert 0 < np.abs(after - before).max() < 0.1 * np.abs(before).max()
    assert dtypes(model).count("int8") == 8  # mix, 2 x 3 of OSME, classifier
    if form == "preset":
        model.save_to_preset(tmp_path / "preset")
        loaded = MAMCImageClassifier.from_preset(tmp_path / "preset")
    else:
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert sorted(dtypes(loaded)) == sorted(dtypes(model))
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), after)
    assert loaded.preprocessor is not None
    with pytest.raises(ValueError, match="Quantised weights"):
        loaded.add_classes(["e"])


@pytest.mark.parametrize("dtype", ["bfloat16", "mixed_bfloat16"])
def test_the_dtype_asked_for_reaches_every_layer(dtype, tmp_path):
    model = build()
    model.save_to_preset(tmp_path)
    loaded = MAMCImageClassifier.from_preset(tmp_path, dtype=dtype)
    for layer in (loaded.backbone, loaded.osme, loaded.output_dense):
        assert layer.dtype_policy.name == dtype
    conv = loaded.backbone.encoder.get_layer("conv0")
    assert conv.dtype_policy.name == dtype
    assert loaded.output_activation.dtype_policy.name == "float32"
    images = batch()[0]
    np.testing.assert_allclose(
        loaded.predict(images, verbose=0),
        model.predict(images, verbose=0),
        atol=0.02,
    )


def test_a_dtype_of_the_head_alone_is_kept(tmp_path):
    model = MAMCImageClassifier(
        encoder(), 4, SCALE, embedding_dim=8, head_dtype="bfloat16"
    )
    model.save_to_preset(tmp_path)
    loaded = MAMCImageClassifier.from_preset(tmp_path)
    assert loaded.osme.dtype_policy.name == "bfloat16"
    assert loaded.backbone.dtype_policy.name == "float32"
