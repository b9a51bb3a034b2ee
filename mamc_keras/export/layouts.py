"""What a .tflite file offers: one answer, one embedding, or everything.

Most apps read files with one signature of one input and one output; the
layout full is for those that ask for a signature by its name.
"""

import keras
from keras import ops

from mamc_keras.export.deployable import fixed_size
from mamc_keras.export.deployable import rescaled
from mamc_keras.export.shrink import shrink
from mamc_keras.models.settings import crop_of

LAYOUTS = ("classifier", "embedder", "full")


def networks(model, layout, any_size=False, batch_size=1):
    """Builds the network of each signature of a layout, on shared weights.

    Args:
        model: `MAMCImageClassifier` in float32.
        layout: one of

            - `"classifier"`: `classify` gives `probabilities`
              `(1, num_classes)`
            - `"embedder"`: `embed` gives `embedding`
              `(1, num_attentions * embedding_dim)`, every branch
              L2-normalised
            - `"full"`: `classify`; `embed` gives `embeddings`
              `(1, num_attentions, embedding_dim)`; `attend` gives `maps`
              `(1, num_attentions, map_height, map_width)`

        any_size: bool. Images of any size, shrunk inside, or else of the
            model's.
        batch_size: int, or `None` for any; for the layout classifier only.

    Returns:
        dict from the name of a signature to `(output name, network)`. A
        network takes uint8 `(1, height, width, 3)` and gives float32.
    """
    size = fixed_size(model)
    shape = (None, None, 3) if any_size else (*size, 3)
    image = keras.Input(shape, batch_size, dtype="uint8", name="image")
    pixels = ops.cast(image, "float32")
    if any_size:
        crop = crop_of(model)
        pixels = keras.layers.Lambda(
            lambda x: shrink(x, size, crop), output_shape=(*size, 3)
        )(pixels)
    pixels = rescaled(model, pixels)
    heads = model.heads(pixels)
    outputs = {}
    if layout != "embedder":
        logits = ops.cast(heads["logits"], "float32")
        logits = logits / model.softmax_temperature
        outputs["classify"] = ("probabilities", ops.softmax(logits, axis=-1))
    if layout == "embedder":
        unit = keras.layers.Lambda(_unit, name="embedding")
        outputs["embed"] = ("embedding", unit(heads["embeddings"]))
    if layout == "full":
        outputs["embed"] = ("embeddings", heads["embeddings"])
        outputs["attend"] = ("maps", model.attention_maps(pixels))
    return {
        name: (output_name, keras.Model(image, output))
        for name, (output_name, output) in outputs.items()
    }


def _unit(embeddings):
    import tensorflow as tf

    # One operation of the file, which int8 leaves in float32: a number of a
    # unit vector is too small for steps of 1/128.
    unit = tf.math.l2_normalize(embeddings, axis=-1)
    return tf.reshape(unit, (1, unit.shape[1] * unit.shape[2]))
