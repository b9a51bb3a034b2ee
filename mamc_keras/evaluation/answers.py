"""What `mamc predict` does, as a function."""

from mamc_keras.evaluation.evaluate import load_model
from mamc_keras.evaluation.evaluate import read_photo
from mamc_keras.evaluation.evaluate import readable
from mamc_keras.models.settings import class_names
from mamc_keras.models.settings import crop_of


def answer(path, photos, top=3):
    """Names the most probable classes of photos, by preset or .tflite.

    Args:
        path: str or Path of a run folder, preset folder or .tflite file, or a
            hub's handle.
        photos: list of str or Path.
        top: int.

    Returns:
        list of `(photo, [(class name, probability), ...], unknown)`; the
        last is whether the photo perhaps shows none of the classes, `False`
        where no calibration is stored (a .tflite has it in the layout full).
    """
    photos = readable(photos)
    if str(path).endswith(".tflite"):
        from mamc_keras.lite import Classifier

        classifier = Classifier(path)
        answers = []
        for photo in photos:
            image = read_photo(photo)
            unknown = classifier.has_threshold and classifier.is_unknown(image)
            answers.append((photo, classifier.top(image, top), unknown))
        return answers
    from mamc_keras.data.pipeline import load_image

    model = load_model(path)
    names = class_names(model)
    answers = []
    for photo in photos:
        image = load_image(photo, model.image_size, crop_of(model))[None]
        row = model.probabilities(image)[0]
        best = row.argsort()[::-1][:top]
        unknown = model.calibration and bool(model.is_unknown(image)[0])
        named = [(names[i], float(row[i])) for i in best]
        answers.append((photo, named, bool(unknown)))
    return answers
