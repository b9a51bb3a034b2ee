"""Every kind of backbone: build, train a step, save, load, export."""

import keras
import keras_hub
import numpy as np
import pytest
from small import batch

from mamc_keras import MAMCImageClassifier
from mamc_keras.export.litert import export_litert
from mamc_keras.lite import Classifier

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
SIZE = (64, 64)


def application(name, **kwargs):
    return lambda: getattr(keras.applications, name)(
        include_top=False, weights=None, input_shape=(*SIZE, 3), **kwargs
    )


def hub_resnet():
    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 32],
        stackwise_num_blocks=[2, 2],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=(*SIZE, 3),
    )


def hub_hgnet():
    """Gives a dict of maps, the smallest one last."""
    return keras_hub.models.HGNetV2Backbone(
        depths=[1, 1],
        embedding_size=16,
        hidden_sizes=[32, 64],
        stem_channels=[3, 8, 16],
        hidden_act="relu",
        use_learnable_affine_block=False,
        stackwise_stage_filters=[(16, 8, 32, 1, 1, 3), (32, 16, 64, 1, 1, 3)],
        apply_downsample=[False, True],
        use_lightweight_conv_block=[False, False],
        image_shape=(*SIZE, 3),
    )


def hub_vit():
    """Gives a class token and those of the patches."""
    return keras_hub.models.ViTBackbone(
        patch_size=16,
        num_layers=1,
        num_heads=2,
        hidden_dim=32,
        mlp_dim=64,
        image_shape=(*SIZE, 3),
    )


def keras_cv_resnet():
    import keras_cv

    return keras_cv.models.ResNetV2Backbone(
        stackwise_filters=[64, 32],
        stackwise_blocks=[2, 2],
        stackwise_strides=[1, 2],
        include_rescaling=False,
        input_shape=(*SIZE, 3),
    )


# One of a kind; benchmarks/backbones.py runs every family at its full size.
BACKBONES = {
    "applications MobileNetV2": application("MobileNetV2", alpha=0.35),
    "hub ResNet": hub_resnet,
    "hub HGNetV2": hub_hgnet,
    "hub ViT": hub_vit,
    "keras-cv ResNetV2": keras_cv_resnet,
}


@pytest.mark.parametrize("name", BACKBONES)
def test_backbone(name, tmp_path):
    keras.utils.set_random_seed(0)
    settings = {"scale": 1 / 128, "offset": -1.0, "image_size": SIZE}
    model = MAMCImageClassifier(
        BACKBONES[name](), 4, settings, embedding_dim=16
    )
    images, labels = batch(size=64)
    logs = model.fit(images, labels, batch_size=8, verbose=0).history
    assert np.isfinite([logs[k][0] for k in ("loss", "sasc", "dasc")]).all()
    before = model.predict(images, verbose=0)
    model.save_to_preset(tmp_path / "preset")
    loaded = MAMCImageClassifier.from_preset(tmp_path / "preset")
    np.testing.assert_allclose(
        loaded.predict(images, verbose=0), before, rtol=1e-4, atol=1e-4
    )
    assert loaded.attend(images).ndim == 4
    file = export_litert(loaded, tmp_path / "model.tflite")
    photo = images[0].astype("uint8")
    np.testing.assert_allclose(
        Classifier(file).predict(photo),
        loaded.probabilities(photo[None])[0],
        atol=1e-3,
    )
