"""Does the exported file say what Keras says? Measured, not assumed."""

import numpy as np

from mamc_keras.evaluation.retrieval import normalised
from mamc_keras.lite.file import open_file

# A file may differ from Keras by rounding, and no more than this.
FLOAT_DIFFERENCE = {"float32": 1e-3, "float16": 0.02}  # of any probability
COSINE = {"float32": 0.9999, "float16": 0.999}  # of any embedding or map
INT8_AGREEMENT = 0.9  # share of photos with the same answer
INT8_MOVED = 0.2  # of the probability mass, mean over photos
INT8_COSINE = 0.9  # mean over photos
HOW_TO_MEND = (
    "Give more varied calibration photos, use a backbone made for int8 such "
    "as EfficientNet-Lite, or export as float16."
)
# Two answers that Keras finds about as probable are the same answer here.
TIE = 0.05


class ParityError(ValueError):
    """An exported file that gives other answers than its Keras model."""


def check_parity(model, tflite_path, images, variant, layout="classifier"):
    """Raises an error for a file that is far off its Keras model.

    Args:
        model: `MAMCImageClassifier`.
        tflite_path: str or Path.
        images: uint8 array `(n, height, width, 3)` of the model's size.
        variant: str, as in `export_litert`; rounding is allowed for.
        layout: str, as in `export_litert`.

    Raises:
        ParityError: on NaN. For float32 and float16, when a probability is
            more than 0.001 or 0.02 off, or the cosine with Keras of an
            embedding or a map is below 0.9999 or 0.999. For the others, when
            more than 10 % of the answers differ (answers that Keras itself
            gives within 0.05 of each other do not), more than 20 % of the
            probability lies on other classes, or the mean cosine is below
            0.9.
    """
    compared = {
        "classifier": {"classify": model.probabilities},
        "embedder": {"embed": lambda x: normalised(model.embed(x))},
        "full": {
            "classify": model.probabilities,
            "embed": model.embed,
            "attend": model.attend,
        },
    }[layout]
    for signature, expected in compared.items():
        found = _run(tflite_path, signature, images)
        if signature == "classify":
            check_probabilities(expected(images), found, variant)
        else:
            _check_vectors(expected(images), found, variant, signature)


def _run(tflite_path, signature, images):
    try:
        interpreter, _, _ = open_file(tflite_path, num_threads=2)
        runner = interpreter.get_signature_runner(signature)
        rows = [runner(image=image[None]) for image in images]
    except (RuntimeError, ValueError) as error:
        raise ParityError(
            f"The exported file does not run. Received: {error} No file was "
            "written. An activation that is 0 for all calibration photos "
            "can cause it: give more varied ones, or train for longer."
        ) from error
    return np.concatenate([next(iter(row.values())) for row in rows])


def check_probabilities(keras_, tflite, variant):
    """Raises a `ParityError` for probabilities `(n, num_classes)` far off.

    Args:
        keras_: float array, of the Keras model.
        tflite: float array, of the exported file.
        variant: str, as in `export_litert`.
    """
    _check_numbers(tflite, "classify")
    difference = np.abs(keras_ - tflite)
    if variant in FLOAT_DIFFERENCE:
        if difference.max() > FLOAT_DIFFERENCE[variant]:
            raise ParityError(
                "The exported file differs from Keras. Received: "
                f"probabilities up to {difference.max():.3g} apart, allowed "
                f"are {FLOAT_DIFFERENCE[variant]}. No file was written."
            )
        return
    answer = np.take_along_axis(keras_, tflite.argmax(axis=1)[:, None], axis=1)
    agreement = (answer[:, 0] >= keras_.max(axis=1) - TIE).mean()
    moved = difference.sum(axis=1).mean() / 2
    if agreement < INT8_AGREEMENT or moved > INT8_MOVED:
        raise ParityError(
            f"The {variant} file is far from Keras. Received: the same answer "
            f"for {agreement:.1%} of {len(keras_)} photos and {moved:.1%} of "
            f"the probability moved, allowed are {INT8_AGREEMENT:.0%} and "
            f"{INT8_MOVED:.0%}. No file was written. {HOW_TO_MEND}"
        )


def _check_numbers(found, signature):
    finite = np.isfinite(found).reshape(len(found), -1).all(axis=1)
    if not finite.all():
        raise ParityError(
            f"The exported file gives NaN. Received: {(~finite).sum()} of "
            f"{len(found)} photos with values that are no numbers from "
            f"{signature}. No file was written."
        )


def _check_vectors(keras_, tflite, variant, signature):
    _check_numbers(tflite, signature)
    cosines = _cosines(keras_, tflite)
    allowed = COSINE.get(variant, INT8_COSINE)
    worst = cosines.min() if variant in COSINE else cosines.mean()
    if not worst >= allowed:
        raise ParityError(
            f"The {variant} file is far from Keras. Received: {signature} "
            f"with a cosine of {worst:.4f}, allowed is {allowed} or more. No "
            f"file was written. {HOW_TO_MEND}"
        )


def _cosines(first, second):
    """Cosine of each photo's values in `(n, ...)`; two all-zero rows: 1."""
    first, second = (
        np.asarray(x, np.float64).reshape(len(x), -1) for x in (first, second)
    )
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    products = (first * second).sum(axis=1)
    same = (first == second).all(axis=1)
    return np.where(same, 1.0, products / np.maximum(lengths, 1e-12))
