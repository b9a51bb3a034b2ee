"""Photos on disk to batches of pixels, in tf.data.

Decoding, cropping and augmenting happen here and never in the model, so that
an exported model holds none of it. Images stay uint8 until the model's own
preprocessor rescales them.
"""

import os

import numpy as np
import tensorflow as tf

from mamc_keras.data.augment import augment_batch
from mamc_keras.data.augment import check_policy
from mamc_keras.data.augment import random_crop_and_flip
from mamc_keras.data.augment import shift_colours
from mamc_keras.data.decode import decode_image
from mamc_keras.data.decode import resize_image
from mamc_keras.data.reading import read_contents
from mamc_keras.data.threads import closes_at_once

# A rule for the whole package: photos of another shape than the model's
# input lose their edges and are not squashed.
CROP_TO_ASPECT_RATIO = True
# Batches planned at a time: the first one need not wait for a long epoch.
_PART = 256


def load_image(path, image_size, crop_to_aspect_ratio=CROP_TO_ASPECT_RATIO):
    """Reads a photo as evaluation sees it.

    Args:
        path: string tensor or str.
        image_size: tuple of two ints, height and width.
        crop_to_aspect_ratio: bool. Cut the photo around its centre to the
            shape of `image_size` before shrinking it, or else squash it.

    Returns:
        uint8 tensor of shape `(height, width, 3)`, the pixels that
        `keras.layers.Resizing` gives, bilinear with antialiasing.
    """
    image = decode_image(read_contents(path))
    return resize_image(image, image_size, crop_to_aspect_ratio)


def augment_image(
    path,
    image_size,
    policy,
    seed,
    crop_to_aspect_ratio=CROP_TO_ASPECT_RATIO,
):
    """Reads a photo as training sees it.

    Args:
        path: string tensor or str.
        image_size: tuple of two ints, height and width.
        policy: str. `"none"` is the evaluation view; `"light"` cuts out half
            to all of the photo and flips it sideways half the time;
            `"standard"` cuts out 30 % or more and changes brightness and
            contrast a little; `"strong"` is `"standard"` here and adds more
            to the whole batch in `n_pair_dataset`.
        seed: int tensor of shape `(2,)`. The same seed gives the same view.
        crop_to_aspect_ratio: bool. See `load_image`; for `"none"` only.

    Returns:
        uint8 tensor of shape `(height, width, 3)`.
    """
    check_policy(policy)
    if policy == "none":
        return load_image(path, image_size, crop_to_aspect_ratio)
    seed = tf.random.split(tf.convert_to_tensor(seed), 2)
    contents = read_contents(path)
    image = random_crop_and_flip(contents, image_size, policy, seed[0])
    image = shift_colours(image, policy, seed[1])
    return tf.saturate_cast(tf.round(image), tf.uint8)


def n_pair_dataset(
    images,
    plan,
    image_size,
    augmentation,
    seed=0,
    start_epoch=0,
    start_step=0,
    crop_to_aspect_ratio=CROP_TO_ASPECT_RATIO,
):
    """Endless training batches in the order of a plan.

    The view of a photo depends only on `seed` and on its place in the
    stream, so a stream that starts at (epoch, step) continues exactly as
    one that was never stopped. The one exception is `"strong"`: what keras-cv
    adds is the same in every run from the beginning, and other draws in a
    run that is continued.

    Args:
        images: `ImageSet`. The images that the plan's labels belong to.
        plan: `NPairPlan`.
        image_size: tuple of two ints, height and width.
        augmentation: str. See `augment_image`.
        seed: int, 0 or more.
        start_epoch: int. Epoch to start with.
        start_step: int. Batches of that epoch that were done already.

    Returns:
        A `tf.data.Dataset` of `(uint8 (batch_size, height, width, 3),
        int64 (batch_size,))`. An epoch is `plan.steps_per_epoch` batches;
        the next one follows without a break.
    """
    check_policy(augmentation)
    if len(images) != plan.num_images:
        raise ValueError(
            "The plan must be made of the labels of these images. Received: "
            f"a plan for {plan.num_images} images and {len(images)} images."
        )
    if start_epoch < 0 or not 0 <= start_step <= plan.steps_per_epoch:
        raise ValueError(
            "Training continues at an epoch from 0 and a step from 0 to "
            f"{plan.steps_per_epoch}. Received: start_epoch={start_epoch}, "
            f"start_step={start_step}."
        )
    steps, batch_size = plan.steps_per_epoch, plan.batch_size
    paths, labels = _path_tensor(images), tf.constant(images.labels)
    columns = tf.range(plan.columns.start, plan.columns.stop, dtype=tf.int64)

    def plan_epoch(epoch):
        first = tf.where(epoch == start_epoch, start_step, 0)
        parts = tf.data.Dataset.range(tf.cast(first, tf.int64), steps, _PART)
        return parts.flat_map(lambda step: plan_part(epoch, step))

    def plan_part(epoch, step):
        stop = tf.minimum(step + _PART, steps)
        indices = tf.numpy_function(
            plan.batches, [epoch, step, stop], tf.int64, stateful=False
        )
        indices = tf.reshape(indices, (-1, batch_size))
        # The number of a place in the endless stream of all workers seeds
        # its view.
        rows = tf.range(tf.shape(indices, tf.int64)[0])
        rows = (epoch * steps + step + rows) * plan.row_size
        places = rows[:, None] + columns
        return tf.data.Dataset.from_tensor_slices(
            (tf.reshape(indices, (-1,)), tf.reshape(places, (-1,)))
        )

    def load(index, place):
        image = augment_image(
            tf.gather(paths, index),
            image_size,
            augmentation,
            tf.stack([tf.constant(seed, tf.int64), place]),
            crop_to_aspect_ratio,
        )
        return image, tf.gather(labels, index)

    forever = np.iinfo(np.int64).max
    dataset = tf.data.Dataset.range(start_epoch, forever)
    dataset = dataset.flat_map(plan_epoch)
    dataset = dataset.map(load, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(batch_size, drop_remainder=True)
    if augmentation == "strong":
        dataset = augment_batch(dataset, (seed, start_epoch, start_step))
    dataset = closes_at_once(dataset.prefetch(tf.data.AUTOTUNE))
    return dataset.apply(
        tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    )


def plain_dataset(
    images,
    image_size,
    batch_size,
    crop_to_aspect_ratio=CROP_TO_ASPECT_RATIO,
):
    """Every image once, in order, as evaluation sees it.

    Args:
        images: `ImageSet`.
        image_size: tuple of two ints, height and width.
        batch_size: int.
        crop_to_aspect_ratio: bool. See `load_image`.

    Returns:
        A `tf.data.Dataset` of `(uint8 (batch, height, width, 3),
        int64 (batch,))`; the last batch holds what is left.
    """
    dataset = tf.data.Dataset.from_tensor_slices(
        (_path_tensor(images), images.labels)
    )
    dataset = dataset.map(
        lambda path, label: (
            load_image(path, image_size, crop_to_aspect_ratio),
            label,
        ),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return closes_at_once(dataset.batch(batch_size).prefetch(tf.data.AUTOTUNE))


def _path_tensor(images):
    # Bytes, because a file name need not be valid UTF-8.
    paths = np.array([os.fsencode(path) for path in images.paths], object)
    return tf.constant(paths, tf.string, shape=(len(images),))
