"""The one backbone class of this package: it wraps any network with a map."""

import copy
from collections import Counter

import keras
import keras_hub


@keras.saving.register_keras_serializable(package="mamc_keras")
class MAMCBackbone(keras_hub.models.Backbone):
    """Wraps any Keras network whose output is a feature map.

    KerasHub finds the task class of a preset by the class of its backbone.
    Having one backbone class of our own means that our presets always load as
    our classifier, and that KerasHub's own presets never do.

    Args:
        encoder: `keras.Model` with one image input and one 4-D output: a
            KerasHub or keras-cv backbone, a `keras.applications` network with
            `include_top=False`, or a functional model of your own.
        dtype: dtype policy of the backbone. Defaults to the encoder's own.
        **kwargs: `name` and `trainable`, see `keras.Model`.

    Input shape:
        The encoder's, usually `(batch_size, height, width, 3)`.

    Output shape:
        `(batch_size, map_height, map_width, channels)`.

    Raises:
        ValueError: if the encoder has no single 4-D output.
    """

    def __init__(self, encoder, dtype=None, **kwargs):
        if not isinstance(encoder, keras.Model):
            raise ValueError(
                "The encoder must be a built keras.Model. Received: "
                f"{encoder!r}. Pass for example "
                "keras.applications.MobileNetV2(include_top=False)."
            )
        outputs = getattr(encoder, "output", None)
        if len(getattr(outputs, "shape", ())) != 4:
            raise ValueError(
                "The encoder must give one feature map (batch, height, width, "
                f"channels). Received: {encoder.name} with output {outputs}. "
                "Leave out its pooling and classifier (include_top=False)."
            )
        # === Layers ===
        self.encoder = encoder
        # === Functional Model ===
        image = keras.Input(
            encoder.input_shape[1:],
            dtype=encoder.inputs[0].dtype,
            name="image",
        )
        super().__init__(
            inputs=image,
            outputs=encoder(image),
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
