"""A .tflite file for phones, browsers and small computers."""

import tempfile
from pathlib import Path

import keras
import numpy as np

from mamc_keras.export.deployable import deployable
from mamc_keras.export.deployable import fixed_size
from mamc_keras.export.labels import append_settings
from mamc_keras.export.labels import labels_text
from mamc_keras.export.layouts import LAYOUTS
from mamc_keras.export.layouts import networks
from mamc_keras.export.metadata import with_metadata
from mamc_keras.export.parity import check_parity
from mamc_keras.export.tflite_file import check_operations
from mamc_keras.export.variants import VARIANTS
from mamc_keras.export.variants import convert
from mamc_keras.export.variants import needs_photos
from mamc_keras.files import atomic_path
from mamc_keras.files import write_text
from mamc_keras.lite import LABELS_FILE

CHECKED_IMAGES = 64


def export_litert(
    model,
    path,
    variant="float32",
    calibration=None,
    layout="classifier",
    any_size=False,
):
    """Writes a .tflite file that phones, browsers and MediaPipe run.

    It takes `image`, uint8 `(1, height, width, 3)` RGB of the model's size;
    the rescaling is inside. Class names and image settings are appended as a
    zip, and labels.txt is written beside. Only built-in operations are used,
    and the file is read back and compared with Keras before it gets its name.

    Args:
        model: `MAMCImageClassifier`.
        path: str or Path ending in .tflite.
        variant: how numbers are stored:

            - `"float32"`: equal to Keras to the last digits
            - `"float16"`: half the size; computed in float32
            - `"dynamic"`: int8 weights, a quarter of the size; computed in
              float32 between layers
            - `"int8"`: weights (a scale for each channel) and activations:
              the fastest. Softmax and L2 norms stay float32, as their
              numbers are smaller than a step of int8
            - `"mixed"`: int8, and the dense layers of the head in float32

        calibration: uint8 array `(n, height, width, 3)`: training photos in
            the model's size, 100 to 200 of all classes. They show int8 and
            mixed the range of every activation. The check uses up to 64 of
            them; without them, synthetic images.
        layout: which signatures it has:

            - `"classifier"`: `classify` gives `probabilities`, float32
              `(1, num_classes)`
            - `"embedder"`: `embed` gives `embedding`, float32
              `(1, num_attentions * embedding_dim)`, every branch
              L2-normalised
            - `"full"`: `classify` as above; `embed` gives `embeddings`
              `(1, num_attentions, embedding_dim)`; `attend` gives `maps`
              `(1, num_attentions, map_height, map_width)`

        any_size: bool. Photos of any size, cut and shrunk inside as in
            training; not with int8 and mixed.

    Returns:
        `Path` of the file.

    Raises:
        ValueError: on wrong arguments, or int8 without calibration.
        ParityError: when the file gives other answers than Keras. Nothing is
            written then.
    """
    path = Path(path)
    size = fixed_size(model)
    _check_names(path, variant, layout, any_size)
    _check_photos(variant, calibration, size)
    model = deployable(model)
    checked = calibration
    if checked is None:
        checked = synthetic_images(size)
    index = np.linspace(0, len(checked) - 1, CHECKED_IMAGES).astype(int)
    checked = np.asarray(checked)[np.unique(index)]
    photos = calibration if needs_photos(variant) else None
    parts = networks(model, layout, any_size)
    contents = _convert(parts, variant, photos)
    if len(parts) == 1:  # MediaPipe refuses files of several signatures.
        ((output, _),) = parts.values()
        contents = with_metadata(contents, output)
    with atomic_path(path) as temporary:
        temporary.write_bytes(contents)
        append_settings(temporary, model, variant, layout)
        check_operations(temporary, variant)
        check_parity(model, temporary, checked, variant, layout)
    write_text(path.with_name(LABELS_FILE), labels_text(model))
    return path


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


def _convert(parts, variant, calibration):
    """Returns the bytes of the .tflite file with these signatures."""
    import tensorflow as tf

    # ExportArchive and signatures of our own names: other ways leave
    # variables in the file that no runtime fills.
    archive = keras.export.ExportArchive()
    for name, (output, network) in parts.items():
        archive.track(network)
        shape = network.inputs[0].shape
        archive.add_endpoint(
            name,
            _endpoint(output, network),
            [tf.TensorSpec(shape, tf.uint8, name="image")],
        )
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        return convert(folder, parts, variant, calibration)


def _endpoint(output, network):
    return lambda image: {output: network(image)}


def _check_names(path, variant, layout, any_size):
    if path.suffix != ".tflite":
        raise ValueError(
            f"The file's name must end in .tflite. Received: {str(path)!r}."
        )
    for name, value, known in (
        ("variant", variant, VARIANTS),
        ("layout", layout, LAYOUTS),
    ):
        if value not in known:
            raise ValueError(
                f"There is no such {name}. Received: {name}={value!r}. Use "
                f"one of {', '.join(known)}."
            )
    if any_size and needs_photos(variant):
        raise ValueError(
            "Photos of any size are shrunk in float32. Received: "
            f"any_size=True and variant={variant!r}. Use float32, float16 or "
            "dynamic, or give the file images of the model's size."
        )


def _check_photos(variant, calibration, size):
    if calibration is None:
        if needs_photos(variant):
            raise ValueError(
                f"{variant} must see photos to learn the range of every value. "
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
