"""The one backbone class of this package: it wraps any network with a map."""

import copy
import math
from collections import Counter

import keras
import keras_hub

MOST_OTHERS = 8  # tokens of a transformer that are no patch


@keras.saving.register_keras_serializable(package="mamc_keras")
class MAMCBackbone(keras_hub.models.Backbone):
    """Wraps any Keras network whose output is a feature map.

    KerasHub finds the task class of a preset by the class of its backbone.
    Having one backbone class of our own means that our presets always load as
    our classifier, and that KerasHub's own presets never do.

    Args:
        encoder: `keras.Model` with one image input and a 4-D output: a
            KerasHub or keras-cv backbone, a `keras.applications` network with
            `include_top=False`, or a functional model of your own. Of several
            outputs the last is taken, and the patch tokens of a transformer
            are put back where they come from.
        dtype: dtype policy of the backbone. Defaults to the encoder's own.
        **kwargs: `name` and `trainable`, see `keras.Model`.

    Input shape:
        The encoder's, usually `(batch_size, height, width, 3)`.

    Output shape:
        `(batch_size, map_height, map_width, channels)`.

    Raises:
        ValueError: if no output of the encoder can be read as a map.
    """

    def __init__(self, encoder, dtype=None, **kwargs):
        if not isinstance(encoder, keras.Model):
            raise ValueError(
                "The encoder must be a built keras.Model. Received: "
                f"{encoder!r}. Pass for example "
                "keras.applications.MobileNetV2(include_top=False)."
            )
        # === Layers ===
        self.encoder = encoder
        # === Functional Model ===
        shape = encoder.inputs[0].shape[1:]
        image = keras.Input(shape, dtype=encoder.inputs[0].dtype, name="image")
        given = image
        # A Sequential that was never called has no `input`, only `inputs`.
        if isinstance(getattr(encoder, "input", None), dict):
            given = dict.fromkeys(encoder.input, image)
        outputs = encoder(given)
        super().__init__(
            inputs=image,
            outputs=feature_map(outputs, shape, encoder.name),
            dtype=dtype or encoder.dtype_policy,
            **kwargs,
        )

    def get_config(self):
        config = super().get_config()
        config["encoder"] = keras.saving.serialize_keras_object(self.encoder)
        return config

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        encoder = config["encoder"]
        if isinstance(encoder, dict):
            wanted = keras.dtype_policies.get(config.get("dtype"))
            config["encoder"] = keras.saving.deserialize_keras_object(
                _in_policy(encoder, wanted)
            )
        return super().from_config(config)


def feature_map(outputs, image_shape, name):
    """Finds the feature map in what an encoder gives.

    Args:
        outputs: tensor, or list or dict of tensors with the last stage last.
        image_shape: `(height, width, channels)` of the images.
        name: str, of the encoder, for the message.

    Returns:
        Tensor `(batch_size, map_height, map_width, channels)`.

    Raises:
        ValueError: when there is none.
    """
    last = outputs
    if isinstance(outputs, dict):
        last = list(outputs.values())[-1]
    elif isinstance(outputs, list | tuple):
        last = outputs[-1]
    shape = last.shape
    if len(shape) == 4:
        return last
    grid = _grid(shape, image_shape) if len(shape) == 3 else None
    if grid is None:
        raise ValueError(
            "The encoder must give one feature map (batch, height, width, "
            f"channels). Received: {name} with output {outputs}. "
            "Leave out its pooling and classifier (include_top=False); tokens "
            "need a fixed image size."
        )
    # Class and register tokens come before those of the patches.
    patches = last[:, shape[1] - grid[0] * grid[1] :]
    return keras.ops.reshape(patches, (-1, *grid, shape[2]))


def _grid(shape, image_shape):
    """Rows and columns of the patches, `None` when they do not fit."""
    tokens, (height, width) = shape[1], image_shape[:2]
    if None in (tokens, height, width):
        return None
    divisor = math.gcd(height, width)
    rows, columns = height // divisor, width // divisor
    scale = math.isqrt(tokens // (rows * columns))
    others = tokens - scale**2 * rows * columns
    return (scale * rows, scale * columns) if others <= MOST_OTHERS else None


def _in_policy(encoder, wanted):
    """Gives a serialised encoder the policy that was asked for.

    A functional model's layers have a policy each, and some may have one of
    their own: only the most frequent one is replaced.
    """
    is_map = isinstance(wanted, keras.dtype_policies.DTypePolicyMap)
    if is_map or wanted.quantization_mode is not None:
        return encoder  # Its layers say themselves how they are quantised.
    encoder = copy.deepcopy(encoder)
    policies = list(_policies(encoder))
    names = Counter(policy["name"] for policy in policies)
    for policy in policies:
        if policy["name"] == names.most_common(1)[0][0]:
            policy["name"] = wanted.name
    return encoder


def _policies(config):
    """Yields the config of every plain dtype policy in a nested config."""
    if isinstance(config, list | tuple):
        for value in config:
            yield from _policies(value)
    elif isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            yield config["config"]
        else:
            yield from _policies(list(config.values()))


def as_backbone(network):
    """Returns `network` as a `MAMCBackbone`, wrapped when it is not one yet.

    Args:
        network: `MAMCBackbone` or any `keras.Model` with a 4-D output.

    Returns:
        A `MAMCBackbone`.
    """
    if isinstance(network, MAMCBackbone):
        return network
    return MAMCBackbone(network)


def batch_norms(model):
    """Lists every BatchNormalization layer in `model`, nested ones included.

    Args:
        model: `keras.Model`.

    Returns:
        list of `keras.layers.BatchNormalization`.
    """
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
