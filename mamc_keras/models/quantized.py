"""Keras' own int8 weights, kept by `get_config` and presets."""

import keras


class QuantizeMixin:
    """`quantize` of `MAMCImageClassifier`, which KerasHub's cannot do."""

    def quantize(self, mode, **kwargs):
        """Quantises the dense layers, as `keras.Model.quantize` does.

        The backbone's convolutions stay as they are: Keras quantises dense
        layers only. For a phone, export an int8 .tflite instead.

        Args:
            mode: str, such as `"int8"`.
            **kwargs: see `keras.Model.quantize`.
        """
        preprocessor = self.preprocessor
        # Keras would ask it to quantise its resizing, which has no weights.
        self.preprocessor = None
        try:
            super().quantize(mode, **kwargs)
        finally:
            self.preprocessor = preprocessor


def policies_of(layers, default):
    """What `get_config` stores so that quantised layers come back as such.

    Args:
        layers: sequence of `keras.layers.Layer`.
        default: `keras.DTypePolicy` of every other layer, or a map of them.

    Returns:
        `keras.dtype_policies.DTypePolicyMap`, or `None` when no layer is
        quantised.
    """
    default = getattr(default, "default_policy", default)
    policies = keras.dtype_policies.DTypePolicyMap(default_policy=default)
    for outer in layers:
        for layer in outer._flatten_layers():
            if layer.quantization_mode is not None:
                policies[layer.path] = layer.dtype_policy
    return policies if len(policies) else None
