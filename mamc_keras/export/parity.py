"""Does the exported file say what Keras says? Measured, not assumed."""

import os

import numpy as np

from mamc_keras.lite import Classifier

# A file may differ from Keras by rounding, and no more than this.
FLOAT_DIFFERENCE = 1e-3  # of any probability
INT8_AGREEMENT = 0.9  # share of photos with the same answer
INT8_MOVED = 0.2  # of the probability mass, mean over photos
# Two answers that Keras finds about as probable are the same answer here.
TIE = 0.05
BATCH_SIZE = 32


class ParityError(ValueError):
    """An exported file that gives other answers than its Keras model."""


def parity_report(model, tflite_path, images, limit=None):
    """Compares a .tflite classifier with its Keras model, photo by photo.

    Both get the same pixels, so what differs is the network alone.

    Args:
        model: `MAMCImageClassifier`.
        tflite_path: str or Path.
        images: `ImageSet`, or a pair of uint8 images `(n, height, width, 3)`
            of the model's size and int labels `(n,)`.
        limit: int. Compare only so many photos, evenly spaced.

    Returns:
        dict:

        - `images`: number of photos
        - `max_difference`, `mean_difference`: of the probabilities; NaN when
          the file gives NaN
        - `agreement`: share of photos with the same top-1
        - `accuracy_keras`, `accuracy_tflite`: top-1
        - `moved`: share of the probability that lies on other classes
        - `megabytes`: size of the file in MB, 10^6 bytes

    Raises:
        ValueError: when there are no photos.
    """
    keras_, tflite, labels = _both(model, tflite_path, images, limit)
    # Not max(): Python's hides NaN.
    difference = np.abs(keras_ - tflite)
    first, second = keras_.argmax(axis=1), tflite.argmax(axis=1)
    return {
        "images": len(labels),
        "max_difference": float(difference.max()),
        "mean_difference": float(difference.mean()),
        "agreement": float((first == second).mean()),
        "accuracy_keras": float((first == labels).mean()),
        "accuracy_tflite": float((second == labels).mean()),
        "moved": float(difference.sum(axis=1).mean() / 2),
        "megabytes": os.path.getsize(tflite_path) / 1e6,
    }


def check_parity(model, tflite_path, images, quantize=None):
    """Raises an error for a file that is far off its Keras model.

    Args:
        model: `MAMCImageClassifier`.
        tflite_path: str or Path.
        images: uint8 array `(n, height, width, 3)` of the model's size.
        quantize: `None` or `"int8"`; rounding is allowed for with the
            latter.

    Raises:
        ParityError: on NaN; for float, when a probability is more than 0.001
            off; for int8, when more than 10 % of the answers differ (answers
            that Keras itself gives within 0.05 of each other do not) or more
            than 20 % of the probability lies on other classes.
    """
    labels = np.zeros(len(images), np.int64)
    try:
        keras_, tflite, _ = _both(model, tflite_path, (images, labels), None)
    except ValueError as error:
        raise ParityError(
            f"The exported file does not run. Received: {error} No file was "
            "written. An activation that is 0 for all calibration photos "
            "can cause it: give more varied ones, or train for longer."
        ) from error
    if not np.isfinite(tflite).all():
        raise ParityError(
            "The exported file gives NaN. Received: "
            f"{(~np.isfinite(tflite)).any(axis=1).sum()} of {len(images)} "
            "photos with values that are no numbers. No file was written."
        )
    difference = np.abs(keras_ - tflite)
    if not quantize:
        if difference.max() > FLOAT_DIFFERENCE:
            raise ParityError(
                "The exported file differs from Keras. Received: "
                f"probabilities up to {difference.max():.3g} apart, allowed "
                f"are {FLOAT_DIFFERENCE}. No file was written."
            )
        return
    answer = np.take_along_axis(keras_, tflite.argmax(axis=1)[:, None], axis=1)
    agreement = (answer[:, 0] >= keras_.max(axis=1) - TIE).mean()
    moved = difference.sum(axis=1).mean() / 2
    if agreement < INT8_AGREEMENT or moved > INT8_MOVED:
        raise ParityError(
            "The int8 file is far from Keras. Received: the same answer for "
            f"{agreement:.1%} of {len(images)} photos and {moved:.1%} of the "
            f"probability moved, allowed are {INT8_AGREEMENT:.0%} and "
            f"{INT8_MOVED:.0%}. No file was written. Give more varied "
            "calibration photos, use a backbone made for int8 such as "
            "EfficientNet-Lite, or export with quantize=None."
        )


def _both(model, tflite_path, images, limit):
    """Probabilities of Keras and of the file `(n, K)`, and labels `(n,)`."""
    classifier = Classifier(tflite_path)
    parts = []
    for batch, labels in _batches(model, images, limit):
        rows = np.stack([classifier.predict(image) for image in batch])
        parts.append((model.probabilities(batch), rows, labels))
    return tuple(map(np.concatenate, zip(*parts, strict=True)))


def _batches(model, images, limit):
    pair = isinstance(images, tuple)
    count = len(images[0]) if pair else len(images)
    if not count:
        raise ValueError(
            "Parity needs photos. Received: 0 images. Choose a split that "
            "has some."
        )
    limit = min(limit or count, count)
    index = np.linspace(0, count - 1, limit).astype(int)
    if pair:
        for start in range(0, limit, BATCH_SIZE):
            rows = index[start : start + BATCH_SIZE]
            yield images[0][rows], np.asarray(images[1])[rows]
        return
    from mamc_keras.data.pipeline import plain_dataset
    from mamc_keras.evaluation.explain import crop_of

    dataset = plain_dataset(
        images.take(index), model.image_size, BATCH_SIZE, crop_of(model)
    )
    for batch, labels in dataset:
        yield batch.numpy(), labels.numpy()
