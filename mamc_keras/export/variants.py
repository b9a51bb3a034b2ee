"""How the numbers of a .tflite file are stored: five variants."""

import warnings

VARIANTS = ("float32", "float16", "dynamic", "int8", "mixed")
# Their answers need finer steps than the 1/256 and 1/128 of int8.
KEPT_IN_FLOAT = ["SOFTMAX", "L2_NORMALIZATION"]
DENSE = ["FULLY_CONNECTED"]


def needs_photos(variant):
    """Must a variant see photos to learn the range of every activation?

    Args:
        variant: one of `VARIANTS`.

    Returns:
        bool.
    """
    return variant in ("int8", "mixed")


def convert(folder, signatures, variant, calibration=None):
    """Converts a SavedModel to the bytes of a .tflite file.

    Args:
        folder: str, the SavedModel.
        signatures: sequence of str, of one input `image` each.
        variant: one of

            - `"float32"`
            - `"float16"`: weights rounded, computed in float32
            - `"dynamic"`: int8 weights, activations in float32
            - `"int8"`: weights and activations, softmax and L2 norms in
              float32
            - `"mixed"`: int8, and the dense layers in float32 too

        calibration: uint8 array `(n, height, width, 3)` for int8 and mixed.

    Returns:
        bytes.
    """
    import tensorflow as tf

    with warnings.catch_warnings():
        # TensorFlow's own: its converter still uses its old interpreter.
        warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is depre")
        warnings.filterwarnings("ignore", "Statistics for quantized inputs")
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=list(signatures)
        )
        builtin, int8 = (
            tf.lite.OpsSet.TFLITE_BUILTINS,
            tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
        )
        converter.target_spec.supported_ops = [
            int8 if needs_photos(variant) else builtin
        ]
        if variant == "float32":
            return converter.convert()
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if variant == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if not needs_photos(variant):
            return converter.convert()
        return _calibrated(converter, signatures, variant, calibration)


def _calibrated(converter, signatures, variant, calibration):
    from tensorflow.lite.python.convert import mlir_quantize

    converter.representative_dataset = lambda: (
        (name, {"image": photo[None]})
        for name in signatures
        for photo in calibration
    )
    kept = KEPT_IN_FLOAT + (DENSE if variant == "mixed" else [])
    if list(signatures) == ["embed"]:
        kept = [*kept, "RESHAPE"]  # of the normalised embedding
    # The two halves of convert(), to leave some out of the second.
    converter._experimental_calibrate_only = True
    return mlir_quantize(converter.convert(), denylisted_ops=kept)
