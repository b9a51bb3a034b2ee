"""What an exported file says of a split, beside Keras: one dict of numbers."""

import os

import numpy as np

from mamc_keras.evaluation.metrics import calibration_error
from mamc_keras.evaluation.predictions import Predictions
from mamc_keras.lite import Classifier

BATCH_SIZE = 32


def parity_report(model, tflite_path, images, limit=None):
    """Compares a .tflite classifier with its Keras model, photo by photo.

    Both get the same pixels, so what differs is the network alone.

    Args:
        model: `MAMCImageClassifier`.
        tflite_path: str or Path, of the layout classifier or full.
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
        - `ece_keras`, `ece_tflite`: expected calibration error
        - `moved`: share of the probability that lies on other classes
        - `megabytes`: size of the file in MB, 10^6 bytes

    Raises:
        ValueError: when there are no photos.
    """
    return parity_reports(model, [tflite_path], images, limit)[0]


def parity_reports(model, tflite_paths, images, limit=None):
    """Compares several files at once: photos go through Keras one time.

    Args:
        model, images, limit: see `parity_report`.
        tflite_paths: sequence of str or Path.

    Returns:
        list of dict, see `parity_report`.

    Raises:
        ValueError: when there are no photos.
    """
    files = [Classifier(path) for path in tflite_paths]
    expected, found, labels = [], [[] for _ in files], []
    for batch, numbers in _batches(model, images, limit):
        labels.append(numbers)
        expected.append(model.probabilities(batch))
        for rows, file in zip(found, files, strict=True):
            rows.append(np.stack([file.predict(image) for image in batch]))
    labels, expected = np.concatenate(labels), np.concatenate(expected)
    return [
        _report(expected, np.concatenate(rows), labels, path)
        for rows, path in zip(found, tflite_paths, strict=True)
    ]


def _report(keras_, tflite, labels, path):
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
        "ece_keras": _ece(keras_, labels),
        "ece_tflite": _ece(tflite, labels),
        "moved": float(difference.sum(axis=1).mean() / 2),
        "megabytes": os.path.getsize(path) / 1e6,
    }


def _ece(probabilities, labels):
    photos = len(labels)
    return calibration_error(
        Predictions(
            paths=[""] * photos,
            labels=labels,
            logits=np.log(np.maximum(probabilities, 1e-30)),
            embeddings=np.zeros((photos, 1, 1)),
            class_names=[""] * probabilities.shape[1],
        )
    )


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
    from mamc_keras.models.settings import crop_of

    dataset = plain_dataset(
        images.take(index), model.image_size, BATCH_SIZE, crop_of(model)
    )
    for batch, labels in dataset:
        yield batch.numpy(), labels.numpy()
