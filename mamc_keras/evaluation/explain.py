"""Pictures of where each attention branch looked."""

import numpy as np

from mamc_keras.data.pipeline import load_image
from mamc_keras.evaluation.plots import attention_figure


def explain(model, paths, path_out):
    """Draws where each branch looked, and what spoke for the answer.

    Args:
        model: `MAMCImageClassifier`.
        paths: list of str, photo files.
        path_out: str or Path of the PNG.

    Returns:
        list of `(path, class name, probability)`, the answer for each photo.
    """
    photos = [
        load_image(path, model.image_size, crop_of(model)).numpy()
        for path in paths
    ]
    batch = np.stack(photos)
    probabilities = model.probabilities(batch)
    names = class_names(model)
    answers = []
    titles = []
    for path, row in zip(paths, probabilities, strict=True):
        best = int(row.argmax())
        answers.append((str(path), names[best], float(row[best])))
        titles.append(f"{names[best]}\n{row[best]:.0%}")
    order = probabilities.argsort(axis=1, kind="stable")[:, ::-1]
    evidence = None
    if model.num_classes > 1:
        best, next_best = order[:, 0], order[:, 1]
        evidence = (
            model.evidence(batch, best),
            model.evidence(batch, best, next_best).sum(axis=1),
            [names[k] for k in next_best],
        )
    attention_figure(path_out, photos, model.attend(batch), titles, evidence)
    return answers


def crop_of(model):
    """Tells whether a model wants the centre of a photo or all of it.

    Args:
        model: `MAMCImageClassifier`.

    Returns:
        bool.
    """
    converter = getattr(model.preprocessor, "image_converter", None)
    return getattr(converter, "crop_to_aspect_ratio", True)


def class_names(model):
    """Names of a model's classes, numbers when it has none.

    Args:
        model: `MAMCImageClassifier`.

    Returns:
        tuple of str.
    """
    return model.class_names or tuple(map(str, range(model.num_classes)))
