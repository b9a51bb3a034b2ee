"""An .onnx classifier, for servers that run ONNX."""

import warnings
from pathlib import Path

import keras
import numpy as np

from mamc_keras.export.deployable import deployable
from mamc_keras.export.deployable import fixed_size
from mamc_keras.export.labels import labels_text
from mamc_keras.export.layouts import networks
from mamc_keras.export.litert import CHECKED_IMAGES
from mamc_keras.export.litert import synthetic_images
from mamc_keras.export.parity import check_probabilities
from mamc_keras.files import atomic_path
from mamc_keras.files import write_text
from mamc_keras.lite import LABELS_FILE


def export_onnx(model, path, images=None):
    """Writes an .onnx file: uint8 images of the model's size to answers.

    `image`, uint8 `(batch_size, height, width, 3)` RGB, gives probabilities
    `(batch_size, num_classes)`; the rescaling is inside, labels.txt is
    written beside. The file is run by onnxruntime and compared with Keras
    before it gets its name.

    Args:
        model: `MAMCImageClassifier`.
        path: str or Path ending in .onnx.
        images: uint8 array `(n, height, width, 3)` to compare on; synthetic
            images without them.

    Returns:
        `Path` of the file.

    Raises:
        ImportError: without the extra `onnx`.
        ValueError: on a wrong name.
        ParityError: when the file gives other answers than Keras. Nothing is
            written then.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise ValueError(
            f"The file's name must end in .onnx. Received: {str(path)!r}."
        )
    runtime = _onnxruntime()
    model = deployable(model)
    if images is None:
        images = synthetic_images(fixed_size(model))
    images = np.asarray(images)[:CHECKED_IMAGES]
    ((_, network),) = networks(model, "classifier", batch_size=None).values()
    with atomic_path(path) as temporary:
        shape = network.inputs[0].shape
        image = keras.InputSpec(shape=shape, dtype="uint8", name="image")
        # The converter's own: it asks NumPy for names of another day.
        with warnings.catch_warnings(action="ignore"):
            network.export(
                str(temporary),
                format="onnx",
                input_signature=[image],
                verbose=False,
            )
        session = runtime.InferenceSession(
            str(temporary), providers=["CPUExecutionProvider"]
        )
        (entry,) = session.get_inputs()
        found = session.run(None, {entry.name: images})[0]
        check_probabilities(model.probabilities(images), found, "float32")
    write_text(path.with_name(LABELS_FILE), labels_text(model))
    return path


def _onnxruntime():
    try:
        import onnxruntime
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"ONNX needs packages of its own. Received: {error}. Install "
            "them: pip install 'mamc_keras[onnx]'."
        ) from error
    return onnxruntime
