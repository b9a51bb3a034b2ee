"""What frozen stages computed for each photo, kept on disk between runs."""

import contextlib
import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import numpy as np

from mamc_keras.data.reading import file_of
from mamc_keras.data.threads import closes_at_once
from mamc_keras.files import atomic_path

FORMAT = 2  # Raised whenever the same key would mean other numbers.


def cache_folder():
    """Folder of the cache: `$MAMC_KERAS_CACHE`, or one in the user's home.

    Returns:
        `Path`.
    """
    default = Path.home() / ".cache" / "mamc_keras"
    return Path(os.environ.get("MAMC_KERAS_CACHE", default))


def cache_key(lower, images, settings):
    """Names a cache by all that decides its content.

    Args:
        lower: `keras.Model`, the frozen stages.
        images: `ImageSet`.
        settings: dict of JSON values: sizes, augmentation, views, seed.

    Returns:
        str, 32 hexadecimal digits.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(str((FORMAT, lower.output_shape)).encode())
    for path in images.paths:
        stat = os.stat(file_of(path))
        line = (os.path.abspath(path), stat.st_size, stat.st_mtime_ns)
        digest.update(repr(line).encode())
    for weight in lower.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()[:32]


def cached_features(
    lower, preprocess, images, settings, cache_gb, progress=None
):
    """Computes the frozen stages' output for views of every photo, once.

    Args:
        lower: `keras.Model`, the frozen stages.
        preprocess: callable on `(B, h, w, 3)` photos, 0..255.
        images: `ImageSet`.
        settings: dict with `image_size`, `crop_to_aspect_ratio`,
            `augmentation`, `views` and `seed`; with `augmentation="none"` the
            one view is the evaluation view.
        cache_gb: float. Gigabytes that all caches together may take.
        progress: callable `(done, total)`, or `None`.

    Returns:
        float16 memory map `(len(images), views, h, w, channels)`; only the
        rows being read are in memory.

    Raises:
        ValueError: when the cap or the disk is too small for this cache.
    """
    views = settings["views"]
    folder = cache_folder() / cache_key(lower, images, settings)
    file = folder / "features.npy"
    if not file.exists():
        example = preprocess(
            np.zeros((1, *settings["image_size"], 3), np.uint8)
        )
        shape = (len(images), views, *lower(example).shape[1:])
        _make_room(int(np.prod(shape)) * 2, cache_gb)
        with atomic_path(folder) as temporary:
            temporary.mkdir()
            _compute(
                temporary / file.name,
                lower,
                preprocess,
                images,
                settings,
                shape,
                progress,
            )
    with contextlib.suppress(OSError):
        os.utime(folder)  # The least recently used cache goes first.
    return np.load(file, mmap_mode="r")


def _compute(file, lower, preprocess, images, settings, shape, progress):
    import tensorflow as tf

    from mamc_keras.data.augment import augment_batch
    from mamc_keras.data.pipeline import augment_image

    size = tuple(settings["image_size"])
    policy = settings["augmentation"]
    paths = tf.constant([os.fsencode(path) for path in images.paths])

    def view(i):
        seed = tf.stack([tf.cast(settings["seed"], tf.int64), i])
        image = augment_image(
            paths[i // settings["views"]],
            size,
            policy,
            seed,
            settings["crop_to_aspect_ratio"],
        )
        return image, i

    total = shape[0] * shape[1]
    batches = (
        tf.data.Dataset.range(total)
        .map(view, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(64)
    )
    if policy == "strong":
        batches = augment_batch(batches, settings["seed"])
    features = np.lib.format.open_memmap(
        file, mode="w+", dtype="float16", shape=shape
    )
    flat = features.reshape(total, *shape[2:])
    run = tf.function(lambda x: lower(x, training=False))
    done = 0
    for batch, _ in closes_at_once(batches.prefetch(2)):
        part = run(preprocess(batch)).numpy()
        # float16 holds up to 65,504; a frozen activation beyond is cut.
        flat[done : done + len(part)] = np.clip(part, -6e4, 6e4)
        done += len(part)
        if progress:
            progress(done, total)
    features.flush()


def _make_room(size, cache_gb):
    """Removes the least recently used caches until `size` bytes fit."""
    root = cache_folder()
    root.mkdir(parents=True, exist_ok=True)
    cap = int(cache_gb * 1e9)
    free = shutil.disk_usage(root).free
    entries = sorted(
        (entry.stat().st_mtime, _bytes(entry), entry)
        for entry in root.iterdir()
        # A temporary folder that old was left by a killed process.
        if entry.is_dir()
        and not (
            entry.name.startswith(".")
            and time.time() - entry.stat().st_mtime < 86400
        )
    )
    used = sum(bytes_ for _, bytes_, _ in entries)
    if size > cap or size > free + used:
        raise ValueError(
            f"The fast mode's cache needs {size / 1e9:.1f} GB. Received: "
            f"cache_gb={cache_gb} with {free / 1e9:.1f} GB free in {root}. "
            "Lower cached_views, raise cache_gb, set MAMC_KERAS_CACHE to "
            "another disk, or train everything with fast=False."
        )
    for _, bytes_, entry in entries:
        if used + size <= cap and size <= free:
            break
        shutil.rmtree(entry, ignore_errors=True)
        used -= bytes_
        free += bytes_


def _bytes(folder):
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def feature_batches(
    features, labels, plan, seed, epochs, start_epoch=0, start_step=0
):
    """N-pair batches of cached features, another view in every epoch.

    Args:
        features: array `(n, views, h, w, channels)`.
        labels: integer array `(n,)`.
        plan: `NPairPlan` over `labels`.
        seed: int.
        epochs: int. The epoch that the dataset ends before.
        start_epoch: int. Epoch to start with.
        start_step: int. Batches of that epoch that were done already.

    Returns:
        `tf.data.Dataset` of `(float32 (B, h, w, channels), int64 (B,))`.
    """
    views = features.shape[1]
    start = np.random.default_rng(seed).integers(views, size=len(labels))

    def batches():
        for epoch in range(start_epoch, epochs):
            first = start_step if epoch == start_epoch else 0
            for index in plan.iter_batches(epoch, first):
                view = (start[index] + epoch) % views
                yield features[index, view], labels[index]

    count = (epochs - start_epoch) * plan.steps_per_epoch - start_step
    return _dataset(batches, features, plan.batch_size, count)


def plain_feature_batches(features, labels, batch_size=64):
    """Every photo's first view once, in order.

    Args:
        features: array `(n, views, h, w, channels)`.
        labels: integer array `(n,)`.
        batch_size: int.

    Returns:
        `tf.data.Dataset` of `(float32 (b, h, w, channels), int64 (b,))`.
    """

    def batches():
        for first in range(0, len(labels), batch_size):
            rows = slice(first, first + batch_size)
            yield features[rows, 0], labels[rows]

    count = -(-len(labels) // batch_size)
    return _dataset(batches, features, None, count)


def _dataset(batches, features, size, count):
    """Reads rows from the memory map as they are needed."""
    import tensorflow as tf

    signature = (
        tf.TensorSpec((size, *features.shape[2:]), tf.float16),
        tf.TensorSpec((size,), tf.int64),
    )
    return closes_at_once(
        tf.data.Dataset.from_generator(batches, output_signature=signature)
        # Keras warns about an end that it could not foresee.
        .apply(tf.data.experimental.assert_cardinality(count))
        .map(lambda x, y: (tf.cast(x, tf.float32), y))
        .prefetch(4)
    )
