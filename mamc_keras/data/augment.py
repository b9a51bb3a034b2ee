"""Random views of training photos."""

import math

import numpy as np
import tensorflow as tf

from mamc_keras.data.decode import decode_other
from mamc_keras.data.decode import orientation
from mamc_keras.data.decode import resize_whole
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

    Of a JPEG only the part is decoded.

    Args:
        contents: string tensor. The encoded image.
        image_size: tuple of two ints, height and width.
        policy: str, one of `POLICIES` but not `"none"`.
        seed: int tensor of shape `(2,)`.

    Returns:
        uint8 tensor of shape `(height, width, 3)`.
    """
    seed = tf.random.split(seed, 2)

    def from_jpeg():
        # The part is cut as the camera stored it and turned afterwards.
        value = orientation(contents)
        shape = tf.io.extract_jpeg_shape(contents)
        box = choose_part(shape, image_size, policy, seed[0], value >= 5)
        part = tf.image.decode_and_crop_jpeg(
            contents, box, channels=3, dct_method="INTEGER_ACCURATE"
        )
        return turn_upright(part, value)

    def from_other():
        image = decode_other(contents)
        box = choose_part(tf.shape(image), image_size, policy, seed[0])
        return tf.slice(
            image,
            tf.stack([box[0], box[1], 0]),
            tf.stack([box[2], box[3], 3]),
        )

    part = tf.cond(tf.io.is_jpeg(contents), from_jpeg, from_other)
    part.set_shape((None, None, 3))
    image = resize_whole(part, image_size)
    return tf.image.stateless_random_flip_left_right(image, seed[1])


def shift_colours(image, policy, seed):
    """Changes brightness and contrast a little.

    Args:
        image: uint8 tensor of shape `(height, width, 3)`.
        policy: str. `"light"` leaves the colours alone.
        seed: int tensor of shape `(2,)`.

    Returns:
        uint8 tensor of the same shape.
    """
    if policy not in ("standard", "strong"):
        return image
    amounts = tf.random.stateless_uniform((2,), seed, -0.2, 0.2)
    image = tf.cast(image, tf.float32)
    middle = tf.reduce_mean(image)
    image = (image - middle) * (1.0 + amounts[0])
    image += middle + 255.0 * 0.5 * amounts[1]
    return tf.saturate_cast(tf.round(image), tf.uint8)


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
        images = tf.cast(images, tf.float32)
        images = cut_out(augment(images, training=True), training=True)
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
