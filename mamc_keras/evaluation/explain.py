"""Pictures of where each attention branch looked."""

import numpy as np

from mamc_keras.data.pipeline import load_image
from mamc_keras.evaluation.plots import attention_figure


def explain(model, paths, path_out):
    """Draws photos beside the heat map of each branch and the answer.

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
    attention_figure(path_out, photos, model.attend(batch), titles)
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
