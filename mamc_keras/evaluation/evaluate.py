"""What `mamc evaluate` does, and how commands open models and photos."""

import os
from pathlib import Path

import numpy as np

from mamc_keras.data.decode import decode_image
from mamc_keras.data.reading import file_of
from mamc_keras.data.reading import read_bytes
from mamc_keras.evaluation.outputs import write_comparison
from mamc_keras.evaluation.outputs import write_outputs
from mamc_keras.evaluation.predictions import predict_images
from mamc_keras.evaluation.stored import stored_predictions
from mamc_keras.evaluation.stored_calibration import Calibration
from mamc_keras.models.settings import class_names
from mamc_keras.recipe import Recipe


def preset_folder(path):
    """Finds the preset in a run folder; a preset folder is itself.

    Args:
        path: str or Path, or the name of a preset in `saved_models`.

    Returns:
        `Path` of the preset folder.

    Raises:
        ValueError: when there is none.
    """
    from mamc_keras.models.backbones import find_preset

    folder = Path(find_preset(path))
    if (folder / "task.json").is_file():
        return folder
    raise ValueError(
        f"There is no trained preset. Received: {str(path)!r}. Give a run "
        "folder of mamc train, or a folder that save_to_preset wrote."
    )


def load_model(path):
    """Loads the classifier of a run folder, preset folder or handle.

    Args:
        path: str or Path.

    Returns:
        A `MAMCImageClassifier`.
    """
    from mamc_keras.models import MAMCImageClassifier

    if "://" in str(path):
        return MAMCImageClassifier.from_preset(path)
    return MAMCImageClassifier.from_preset(preset_folder(path))


def data_of(path, source=None, progress=None):
    """Opens the data of a run as its training did, unreadable files left out.

    Args:
        path: str or Path of a run folder or preset folder.
        source: str, other data than the run's own, or `None`. Without split
            folders all of its photos are the test split.
        progress: callable `(what, done, total)`, or `None`.

    Returns:
        dict of `ImageSet` by split name.
    """
    from mamc_keras.run_folder import read_recipe
    from mamc_keras.training import prepare_data

    path = Path(path)
    run = path if (path / "recipe.json").is_file() else path.parent
    if (run / "recipe.json").is_file():
        recipe = read_recipe(run)
    elif source:
        recipe = None
    else:
        raise ValueError(
            f"A preset does not know its data. Received: {str(path)!r}. "
            "Name the folder of photos as well."
        )
    if recipe and source in (None, recipe.source):
        return prepare_data(recipe, progress)[0]
    # Other photos than the run's: nothing is set aside for training.
    recipe = Recipe(source=source, validation_fraction=0.0, test_fraction=0.0)
    splits, _ = prepare_data(recipe, progress)
    if not len(splits["test"]):
        splits["test"] = splits["train"]
    return splits


def match_classes(images, model):
    """Renumbers labels to the model's own class order, by name.

    Args:
        images: `ImageSet`.
        model: `MAMCImageClassifier`.

    Returns:
        `ImageSet` with the model's `class_names`.

    Raises:
        ValueError: when the photos have a class that the model lacks.
    """
    names = class_names(model)
    if tuple(images.class_names) == tuple(names):
        return images
    number = {name: i for i, name in enumerate(names)}
    missing = [n for n in images.class_names if n not in number]
    if missing:
        raise ValueError(
            "The data has classes that the model does not know. Received: "
            f"{', '.join(missing[:5])}. Train on this data, or leave these "
            "folders out."
        )
    order = np.array([number[n] for n in images.class_names])
    return type(images)(images.paths, order[images.labels], tuple(names))


def evaluate(
    path,
    source=None,
    split="test",
    out=None,
    progress=None,
    against=None,
    slices=None,
):
    """Measures a classifier on one split and writes what it found.

    Everything is measured, and the probabilities written, before any
    temperature. When the preset stores a calibration, `temperature`,
    `nll_calibrated`, `ece_calibrated` and `called_unknown` (the share of
    photos said to be perhaps of no class) are measured as well.

    Predictions in `out` that are of the same preset and photos are used
    again; the network runs only without them.

    Args:
        path: str or Path of a run folder or preset folder.
        source: str, data other than the run's own, or `None`.
        split: `"train"`, `"val"` or `"test"`.
        out: folder to write to; `evaluation-SPLIT` beside the preset.
        progress: callable `(what, done, total)`, or `None`.
        against: str or Path of another preset or run, compared on the same
            photos, or `None`.
        slices: str or Path of a CSV, see `slices.read_slices`, or `None`.

    Returns:
        `(measures, paths)`: dict of numbers, list of the files written.
    """
    preset = preset_folder(path)
    other = preset_folder(against) if against else None
    splits = data_of(path, source, progress)
    out = Path(out) if out else preset.parent / f"evaluation-{split}"
    predictions, measures, paths = evaluate_split(
        preset, splits, split, out, progress, slices, source is None
    )
    if against:
        rival = predictions_of(
            other, splits[split], out / "against", progress, "against"
        )
        names = (_name(path), _name(against))
        paths += write_comparison(out, predictions, rival, names)
    return measures, paths


def evaluate_split(
    preset, splits, split, out, progress=None, slices=None, own=True
):
    """What `evaluate` does with data that is open already.

    Args:
        preset: `Path` of a preset folder.
        splits: dict of `ImageSet` by split name.
        split, progress, slices: see `evaluate`.
        out: `Path` of the folder to write to.
        own: bool. Are these the photos that the preset was trained on? Then
            its training photos are counted by class.

    Returns:
        `(predictions, measures, paths)`.

    Raises:
        ValueError: when the split has no photos.
    """
    images = splits[split]
    if not len(images):
        raise ValueError(
            f"There are no photos to measure on. Received: split={split!r}. "
            "Choose another split, or add a folder of that name."
        )
    predictions = predictions_of(preset, images, out, progress, split)
    counts = None
    if own and len(splits["train"]):
        counts = training_counts(splits, predictions.class_names)
    calibration = Calibration.load(preset)
    measures, paths = write_outputs(
        out, predictions, calibration, counts, slices
    )
    return predictions, measures, paths


def training_counts(splits, class_names):
    """Counts training photos in the order of a model's classes.

    Args:
        splits: dict of `ImageSet`.
        class_names: sequence of str.

    Returns:
        list of int.
    """
    images = splits["train"]
    counts = images.class_counts()
    own = dict(zip(images.class_names, counts, strict=True))
    return [int(own.get(name, 0)) for name in class_names]


def predictions_of(preset, images, folder, progress=None, what="photos"):
    """Predicts photos by a preset, or takes what is stored in a folder.

    Args:
        preset: `Path` of a preset folder.
        images: `ImageSet` with classes that the preset knows, in any order.
        folder: `Path` of the stored predictions, see `stored`.
        progress: callable `(what, done, total)`, or `None`.
        what: str, how progress calls the photos.

    Returns:
        `Predictions`.
    """

    def predict():
        model = load_model(preset)
        step = progress and (lambda done, total: progress(what, done, total))
        return predict_images(
            model, match_classes(images, model), progress=step
        )

    return stored_predictions(preset, images, folder, predict)


def _name(path):
    """What a run is called: its folder, not the preset inside it."""
    path = Path(path)
    return path.parent.name if path.name == "preset" else path.name


def readable(photos):
    """Makes sure that every photo exists and decodes, before any work.

    Args:
        photos: list of str or Path.

    Returns:
        list of str.

    Raises:
        ValueError: names the first photo that cannot be used.
    """
    for photo in photos:
        if not os.path.isfile(file_of(photo)):
            raise ValueError(
                f"There is no such photo. Received: {str(photo)!r}."
            )
        read_photo(photo)
    return [str(photo) for photo in photos]


def read_photo(path):
    """Decodes a photo as training does.

    Args:
        path: str or Path.

    Returns:
        uint8 array `(height, width, 3)`.

    Raises:
        ValueError: when the file is no readable image.
    """
    try:
        return decode_image(read_bytes(path)).numpy()
    except Exception as error:
        if not type(error).__module__.startswith("tensorflow"):
            raise
        raise ValueError(
            f"This file is no image that can be read. Received: {str(path)!r}. "
            "Save it again as JPEG or PNG."
        ) from error
