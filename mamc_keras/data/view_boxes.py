"""Where boxes of a photo come to lie in a random view of it."""

import tensorflow as tf

from mamc_keras.data.augment import check_policy
from mamc_keras.data.augment import choose_part
from mamc_keras.data.augment import split_view_seed
from mamc_keras.data.decode import decode_other
from mamc_keras.data.decode import orientation
from mamc_keras.data.decode import stored_backwards


def augment_boxes(contents, boxes, image_size, policy, seed):
    """Moves boxes the way `augment_image` moves the pixels.

    Args:
        contents: string tensor. The encoded image.
        boxes: float tensor `(n, 4)`: top, left, bottom, right, in pixels of
            the upright photo.
        image_size: tuple of two ints, height and width of the view.
        policy: str. `"light"` or `"standard"`; `"none"` is no random view
            (see `mamc_keras.evaluation.localization.to_view`), and what
            `"strong"` adds to whole batches moves pixels in ways that
            keras-cv does not tell.
        seed: int tensor of shape `(2,)`, as given to `augment_image`.

    Returns:
        float32 tensor `(n, 4)` in pixels of the view, cut at its edges. A box
        outside of the view has no area.

    Raises:
        ValueError: for another policy.
    """
    check_policy(policy)
    if policy not in ("light", "standard"):
        raise ValueError(
            "Boxes follow the policies 'light' and 'standard'. Received: "
            f"policy='{policy}'."
        )
    crop_seed, flip_seed = split_view_seed(seed)
    stored, value = tf.cond(
        tf.io.is_jpeg(contents),
        lambda: (tf.io.extract_jpeg_shape(contents), orientation(contents)),
        lambda: (tf.shape(decode_other(contents)), 1),
    )
    part = choose_part(stored, image_size, policy, crop_seed, value >= 5)
    top, left, height, width = _upright(part, stored[:2], value)
    boxes = tf.cast(boxes, tf.float32) - tf.stack([top, left, top, left])
    limits = tf.constant([*image_size, *image_size], tf.float32)
    boxes *= limits / tf.stack([height, width, height, width])
    boxes = tf.clip_by_value(boxes, 0.0, limits)
    flipped = tf.image.stateless_random_flip_left_right(
        tf.constant([[[0.0], [1.0]]]), flip_seed
    )[0, 0, 0]
    top, left, bottom, right = tf.unstack(boxes, axis=-1)
    turned = tf.stack(
        [top, image_size[1] - right, bottom, image_size[1] - left], axis=-1
    )
    return tf.where(flipped > 0, turned, boxes)


def _upright(part, stored, value):
    """Turns top, left, height, width of a part with its photo."""
    top, left, height, width = tf.unstack(tf.cast(part, tf.float32))
    rows, columns = tf.unstack(tf.cast(stored, tf.float32))
    if_turned = value >= 5
    top, left = _exchange(if_turned, top, left)
    height, width = _exchange(if_turned, height, width)
    rows, columns = _exchange(if_turned, rows, columns)
    from_bottom, from_right = stored_backwards(value)
    top = tf.where(from_bottom, rows - top - height, top)
    left = tf.where(from_right, columns - left - width, left)
    return top, left, height, width


def _exchange(condition, first, second):
    return tf.where(condition, second, first), tf.where(
        condition, first, second
    )
