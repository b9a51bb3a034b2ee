"""Random views of training photos."""

import math

import numpy as np
import tensorflow as tf

from mamc_keras.data.decode import decode_other
from mamc_keras.data.decode import orientation
from mamc_keras.data.decode import turn_upright

POLICIES = ("none", "light", "standard", "strong")
# Part of the photo that a view shows, and its width to height.
_AREA = {"light": (0.5, 1.0), "standard": (0.3, 1.0), "strong": (0.3, 1.0)}
_ASPECT = {
    "light": (4 / 5, 5 / 4),
    "standard": (3 / 4, 4 / 3),
    "strong": (3 / 4, 4 / 3),
}


def check_policy(policy):
    """Raises a `ValueError` unless `policy` is one of `POLICIES`."""
    if policy not in POLICIES:
        raise ValueError(
            "There is no such augmentation policy. Received: "
            f"augmentation='{policy}'. Choose one of {', '.join(POLICIES)}."
        )


def random_crop_and_flip(contents, image_size, policy, seed):
    """Cuts a random part out of a photo, resizes it, flips it sideways.

    Of a JPEG only the part is decoded, and no larger than it has to be.

    Args:
        contents: string tensor. The encoded image.
        image_size: tuple of two ints, height and width.
        policy: str, one of `POLICIES` but not `"none"`.
        seed: int tensor of shape `(2,)`.

    Returns:
        float32 tensor of shape `(height, width, 3)`, values 0..255.
    """
    seed = tf.random.split(seed, 2)

    def from_jpeg():
        # The part is cut as the camera stored it and turned afterwards.
        value = orientation(contents)
        shape = tf.io.extract_jpeg_shape(contents)
        box = choose_part(shape, image_size, policy, seed[0], value >= 5)
        part = turn_upright(_decode_part(contents, box, image_size), value)
        return tf.image.resize(part, image_size)

    def from_other():
        image = decode_other(contents)
        box = choose_part(tf.shape(image), image_size, policy, seed[0])
        part = tf.slice(
            image,
            tf.stack([box[0], box[1], 0]),
            tf.stack([box[2], box[3], 3]),
        )
        return tf.image.resize(part, image_size, antialias=True)

    image = tf.cond(tf.io.is_jpeg(contents), from_jpeg, from_other)
    image = tf.ensure_shape(image, (*image_size, 3))
    return tf.image.stateless_random_flip_left_right(image, seed[1])


def _decode_part(contents, box, image_size):
    """Decodes a part of a JPEG at 1/1, 1/2, 1/4 or 1/8 of its size.

    As small as it can be and not smaller than the view: the decoder then
    averages, for less than nothing, what an antialiased resize would average
    afterwards at several times the cost of decoding.
    """
    factor = tf.reduce_min(box[2:]) // max(image_size)

    def at(ratio):
        return lambda: tf.image.decode_and_crop_jpeg(
            contents,
            tf.maximum(box // ratio, [0, 0, 1, 1]),
            channels=3,
            ratio=ratio,
            dct_method="INTEGER_ACCURATE",
        )

    return tf.case(
        [(factor >= ratio, at(ratio)) for ratio in (8, 4, 2)], default=at(1)
    )


def shift_colours(image, policy, seed):
    """Changes brightness and contrast a little.

    Args:
        image: float32 tensor of shape `(height, width, 3)`, values 0..255.
        policy: str. `"light"` leaves the colours alone.
        seed: int tensor of shape `(2,)`.

    Returns:
        float32 tensor of the same shape; values may lie outside of 0..255.
    """
    if policy not in ("standard", "strong"):
        return image
    amounts = tf.random.stateless_uniform((2,), seed, -0.2, 0.2)
    contrast = 1.0 + amounts[0]
    brightness = 255.0 * 0.5 * amounts[1]
    return image * contrast + (
        tf.reduce_mean(image) * (1.0 - contrast) + brightness
    )


def augment_batch(dataset, seed):
    """Adds keras-cv's RandAugment and RandomCutout to batches of images.

    keras-cv's are many times faster in tf.data than those of keras.layers.
    They draw from generators with a state: the same dataset gives the same
    batches from its beginning, but cannot be entered in the middle.

    Args:
        dataset: `tf.data.Dataset` of (uint8 images, labels) in batches.
        seed: sequence of int, 0 or more.

    Returns:
        A `tf.data.Dataset` of the same element types and shapes.
    """
    try:
        import keras_cv
    except ImportError as error:
        raise ImportError(
            "The augmentation 'strong' needs keras-cv. Install it with "
            "`pip install keras-cv`, or choose 'standard'."
        ) from error
    # keras-cv takes seed 0 for no seed.
    seeds = (np.random.SeedSequence(seed).generate_state(3) // 2 + 1).tolist()
    augment = keras_cv.layers.RandAugment(
        value_range=(0, 255),
        augmentations_per_image=2,
        magnitude=0.3,
        seed=seeds[0],
    )
    cut_out = keras_cv.layers.RandomCutout(
        height_factor=(0.1, 0.3),
        width_factor=(0.1, 0.3),
        seed=seeds[1],
    )

    def change(images, labels):
        # RandAugment does not pass its seed on to the strengths it draws;
        # they follow the seed of the graph that they are traced into.
        tf.compat.v1.set_random_seed(seeds[2])
        shape = images.shape
        # keras-cv takes the images of a batch in parallel, and which of them
        # draws first is then left to chance; here they come one by one.
        images = tf.map_fn(
            lambda image: cut_out(augment(image, training=True), training=True),
            tf.cast(images, tf.float32),
            parallel_iterations=1,
        )
        images = tf.saturate_cast(tf.round(images), tf.uint8)
        return tf.ensure_shape(images, shape), labels

    # One batch after the other, or the order of draws would be left to chance.
    return dataset.map(change)


def choose_part(shape, image_size, policy, seed, on_its_side=False):
    """Chooses the part of a photo that a view shows.

    Args:
        shape: int tensor, height and width of the photo as it is stored.
        image_size: tuple of two ints, height and width of the view.
        policy: str, one of `POLICIES` but not `"none"`.
        seed: int tensor of shape `(2,)`.
        on_its_side: bool tensor. Whether the stored photo is turned by 90
            degrees afterwards.

    Returns:
        int32 tensor `(4,)`: top, left, height, width in the stored photo.
    """
    size = tf.cast(shape[:2], tf.float32)
    draws = tf.random.stateless_uniform((4,), seed)
    smallest, largest = _AREA[policy]
    area = size[0] * size[1] * (smallest + draws[0] * (largest - smallest))
    # Width to height, on a log scale and relative to the upright input.
    narrow, wide = (math.log(aspect) for aspect in _ASPECT[policy])
    aspect = tf.exp(narrow + draws[1] * (wide - narrow))
    aspect *= image_size[1] / image_size[0]
    aspect = tf.where(on_its_side, 1.0 / aspect, aspect)
    # A part that would stick out is clipped, and so a little smaller.
    part = tf.sqrt(tf.stack([area / aspect, area * aspect]))
    part = tf.clip_by_value(tf.round(part), 1.0, size)
    corner = tf.floor(draws[2:] * (size - part + 1.0))
    corner = tf.minimum(corner, size - part)
    return tf.cast(tf.concat([corner, part], 0), tf.int32)


def split_view_seed(seed):
    """Seeds of a view's part and of its flip, from the seed of the view.

    Args:
        seed: int tensor of shape `(2,)`, as given to `augment_image`.

    Returns:
        Two int tensors of shape `(2,)`.
    """
    geometry = tf.random.split(tf.convert_to_tensor(seed), 2)[0]
    return tf.unstack(tf.random.split(geometry, 2))
