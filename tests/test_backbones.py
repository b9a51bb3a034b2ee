"""Every kind of backbone: build, train a step, save, load, export."""

import keras
import keras_hub
import numpy as np
import pytest
from small import batch

from mamc_keras import MAMCImageClassifier
from mamc_keras.export.litert import export_litert
from mamc_keras.lite import Classifier
from mamc_keras.models.efficientnet_lite import load_efficientnet_lite

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


def hub_densenet():
    return keras_hub.models.DenseNetBackbone(
        stackwise_num_repeats=[2, 2], image_shape=(*SIZE, 3)
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


def lite(number):
    name = f"efficientnet_lite{number}_imagenet"
    return lambda: load_efficientnet_lite(name, SIZE)[0]


BACKBONES = {
    "applications MobileNetV2": application("MobileNetV2", alpha=0.35),
    "applications ResNet50": application("ResNet50"),
    "applications EfficientNetB0": application("EfficientNetB0"),
    "applications ConvNeXtTiny": application("ConvNeXtTiny"),
    "hub ResNet": hub_resnet,
    "hub DenseNet": hub_densenet,
    "hub EfficientNet-Lite1": lite(1),
    "hub EfficientNet-Lite2": lite(2),
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
