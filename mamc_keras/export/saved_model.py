"""A SavedModel for servers: serve, embed and attend on photos of any size."""

from pathlib import Path

import keras

from mamc_keras.export.deployable import deployable
from mamc_keras.export.deployable import fixed_size
from mamc_keras.export.deployable import image_converter
from mamc_keras.export.labels import labels_text
from mamc_keras.export.labels import settings_of
from mamc_keras.files import atomic_path
from mamc_keras.files import write_json
from mamc_keras.lite import SETTINGS_FILE


def export_saved_model(model, folder):
    """Writes a SavedModel that needs neither this package nor Keras.

    `tf.saved_model.load(folder)` has functions of uint8 RGB images
    `(batch_size, any height, any width, 3)`, which are cut, resized and
    rescaled inside as in evaluation:

    - `serve`: probabilities `(batch_size, num_classes)`
    - `embed`: embeddings `(batch_size, num_attentions, embedding_dim)`
    - `attend`: heat maps `(batch_size, num_attentions, map_height,
      map_width)`
    - `known`, when the model has a calibration: how well known photos are
      `(batch_size,)`; below the threshold in assets/mamc.json they perhaps
      show none of the classes

    Class names are in assets/labels.txt, one a line, and settings in
    assets/mamc.json. A model without an
    image converter takes images of its own size only.

    Args:
        model: `MAMCImageClassifier`.
        folder: str or Path, replaced as a whole when it exists.

    Returns:
        `Path` of the folder.

    Raises:
        ValueError: when the path is a file, or the model has no image size.
    """
    import tensorflow as tf

    folder = Path(folder)
    if folder.is_file():
        raise ValueError(
            "A SavedModel is a folder. Received: the path of a file, "
            f"{str(folder)!r}. Give another path."
        )
    model = deployable(model)
    size = (None, None) if image_converter(model) else fixed_size(model)
    signature = [tf.TensorSpec((None, *size, 3), tf.uint8, name="image")]

    def serve(image):
        logits = model.heads(_preprocess(model, image))["logits"]
        logits = tf.cast(logits, tf.float32) / model.softmax_temperature
        return tf.nn.softmax(logits)

    def embed(image):
        return model.heads(_preprocess(model, image))["embeddings"]

    def attend(image):
        return model.attention_maps(_preprocess(model, image))

    def known(image):
        return model.known_score(model.heads(_preprocess(model, image)))

    functions = [serve, embed, attend]
    if model.calibration:
        functions.append(known)
    archive = keras.export.ExportArchive()
    archive.track(model)
    for function in functions:
        archive.add_endpoint(function.__name__, function, signature)
    with atomic_path(folder) as temporary:
        archive.write_out(str(temporary), verbose=False)
        labels = temporary / "assets" / "labels.txt"
        labels.parent.mkdir(exist_ok=True)
        labels.write_text(labels_text(model), encoding="utf-8")
        write_json(labels.with_name(SETTINGS_FILE), settings_of(model))
    return folder


def _preprocess(model, images):
    """uint8 photos of any size to what the network takes."""
    import tensorflow as tf

    images = tf.cast(images, tf.float32)
    converter = image_converter(model)
    if converter is None:
        return model.preprocessor(images) if model.preprocessor else images
    if converter.image_size is not None:
        # Whole grey levels, as training and evaluation see them.
        images = tf.round(converter.resizing(images))
        images = tf.clip_by_value(images, 0.0, 255.0)
        images = tf.ensure_shape(images, (None, *converter.image_size, 3))
    if converter.scale is not None:
        images = images * tf.constant(converter.scale, tf.float32)
    if converter.offset is not None:
        images = images + tf.constant(converter.offset, tf.float32)
    return images
