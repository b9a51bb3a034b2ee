"""A .tflite classifier for phones: one uint8 image to probabilities."""

import tempfile
import warnings
from pathlib import Path

import keras
import numpy as np

from mamc_keras.export.deployable import deployable
from mamc_keras.export.deployable import fixed_size
from mamc_keras.export.deployable import rescaled
from mamc_keras.export.labels import append_settings
from mamc_keras.export.labels import labels_text
from mamc_keras.export.parity import check_parity
from mamc_keras.export.tflite_file import read_contents
from mamc_keras.files import atomic_path
from mamc_keras.files import write_text
from mamc_keras.lite import LABELS_FILE

CHECKED_IMAGES = 64


def export_litert(model, path, quantize=None, calibration=None):
    """Writes the .tflite file that phones, browsers and MediaPipe run.

    One signature, `classify`: `image`, uint8 `(1, height, width, 3)` RGB of
    the model's size, to `probabilities`, float32 `(1, num_classes)`. The
    rescaling is inside. Class names and image settings are appended as a zip,
    and labels.txt is written beside. Only built-in operations are used, and
    the file is read back and compared with Keras before it gets its name.

    With `quantize="int8"` weights (a scale for each channel) and activations
    are int8: about a quarter of the size. The softmax alone stays float32, as
    an int8 probability could not be smaller than 1/256.

    Args:
        model: `MAMCImageClassifier`.
        path: str or Path ending in .tflite.
        quantize: `None` for float32, or `"int8"`.
        calibration: uint8 array `(n, height, width, 3)`: training photos in
            the model's size, 100 to 200 of all classes. They show int8 the
            range of every activation. The check uses up to 64 of them; float
            is checked on synthetic images without them.

    Returns:
        `Path` of the file.

    Raises:
        ValueError: on wrong arguments, or int8 without calibration.
        ParityError: when the file gives other answers than Keras. Nothing is
            written then.
    """
    path = Path(path)
    size = fixed_size(model)
    _check_arguments(path, quantize, calibration, size)
    model = deployable(model)
    checked = calibration
    if checked is None:
        checked = synthetic_images(size)
    index = np.linspace(0, len(checked) - 1, CHECKED_IMAGES).astype(int)
    checked = np.asarray(checked)[np.unique(index)]
    contents = _convert(model, size, calibration if quantize else None)
    with atomic_path(path) as temporary:
        temporary.write_bytes(contents)
        append_settings(temporary, model, quantize)
        check_operations(temporary, quantize)
        check_parity(model, temporary, checked, quantize)
    write_text(path.with_name(LABELS_FILE), labels_text(model))
    return path


def check_operations(path, quantize=None):
    """Makes sure that every runtime can run a file, and that int8 is int8.

    Args:
        path: str or Path of a .tflite file.
        quantize: `None` or `"int8"`.

    Raises:
        ValueError: names what is wrong.
    """
    contents = read_contents(path)
    if contents.unusable():
        raise ValueError(
            "The network needs operations that plain runtimes do not have. "
            f"Received: {', '.join(contents.unusable())}. Use another "
            "backbone; those of EfficientNet-Lite, MobileNet and ResNet work."
        )
    if quantize and set(contents.weight_types) != {"INT8"}:
        raise ValueError(
            "Some weights could not be quantised to int8. Received: weights "
            f"of the types {contents.weight_types}. Use another backbone, or "
            "export with quantize=None."
        )


def synthetic_images(size, count=8):
    """Smooth random images, for checks that need no photos.

    Args:
        size: `(height, width)` in pixels.
        count: int.

    Returns:
        uint8 array `(count, height, width, 3)`, the same at every call.
    """
    rng = np.random.default_rng(0)
    tiles = rng.integers(0, 256, (count, 7, 7, 3), dtype=np.uint8)
    scale = (-(-size[0] // 7), -(-size[1] // 7))
    images = tiles.repeat(scale[0], axis=1).repeat(scale[1], axis=2)
    return images[:, : size[0], : size[1]]


def _convert(model, size, calibration):
    """Returns the bytes of the .tflite file."""
    import tensorflow as tf

    image = keras.Input((*size, 3), batch_size=1, dtype="uint8", name="image")
    x = rescaled(model, keras.ops.cast(image, "float32"))
    logits = keras.ops.cast(model.heads(x)["logits"], "float32")
    network = keras.Model(image, keras.ops.softmax(logits, axis=-1))
    # ExportArchive and a signature of its own name: other ways leave
    # variables in the file that no runtime fills.
    archive = keras.export.ExportArchive()
    archive.track(network)
    archive.add_endpoint(
        "classify",
        lambda image: {"probabilities": network(image)},
        [tf.TensorSpec((1, *size, 3), tf.uint8, name="image")],
    )
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # TensorFlow's own: its converter still uses its old interpreter.
        warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is depre")
        warnings.filterwarnings("ignore", "Statistics for quantized inputs")
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=["classify"]
        )
        if calibration is None:
            converter.target_spec.supported_ops = [
                tf.lite.OpsSet.TFLITE_BUILTINS
            ]
            return converter.convert()
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS_INT8
        ]
        return _quantised(converter, calibration)


def _quantised(converter, calibration):
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        {"image": photo[None]} for photo in calibration
    )
    # The two halves of convert(), to leave the softmax out of the second.
    converter._experimental_calibrate_only = True
    calibrated = converter.convert()
    return mlir_quantize(calibrated, denylisted_ops=["SOFTMAX"])


def _check_arguments(path, quantize, calibration, size):
    if path.suffix != ".tflite":
        raise ValueError(
            f"The file's name must end in .tflite. Received: {str(path)!r}."
        )
    if quantize not in (None, "int8"):
        raise ValueError(
            "A file is float32 or int8. Received: "
            f"quantize={quantize!r}. Use None or 'int8'."
        )
    if calibration is None:
        if quantize:
            raise ValueError(
                "int8 must see photos to learn the range of every value. "
                "Received: calibration=None. Give about 100 training photos, "
                f"uint8 (n, {size[0]}, {size[1]}, 3)."
            )
        return
    shape, dtype = np.shape(calibration), np.asarray(calibration).dtype
    if len(shape) != 4 or shape[1:] != (*size, 3) or dtype != np.uint8:
        raise ValueError(
            "Calibration photos are pixels in the model's size. Received: "
            f"{dtype} {shape}. Give uint8 (n, {size[0]}, {size[1]}, 3)."
        )
    if not len(calibration):
        raise ValueError(
            "int8 must see photos. Received: 0 calibration photos. Give about "
            "100."
        )
