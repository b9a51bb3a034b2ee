import io
import itertools
import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from PIL import ImageOps

from mamc_keras.data.augment import POLICIES
from mamc_keras.data.augment import choose_part
from mamc_keras.data.augment import random_crop_and_flip
from mamc_keras.data.n_pairs import NPairPlan
from mamc_keras.data.pipeline import augment_image
from mamc_keras.data.pipeline import decode_image
from mamc_keras.data.pipeline import load_image
from mamc_keras.data.pipeline import n_pair_dataset
from mamc_keras.data.pipeline import plain_dataset
from mamc_keras.data.sources import ImageSet
from mamc_keras.feature_cache import plain_feature_batches

SIZE = (24, 32)


def picture(height=60, width=90, seed=0):
    """Smooth colours, so that JPEG keeps them, all corners different."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.BICUBIC)


def encoded(image, suffix, **options):
    buffer = io.BytesIO()
    image.save(buffer, suffix, **options)
    return buffer.getvalue()


def with_orientation(image, value, byte_order="MM", in_thumbnail=False):
    """A JPEG as a camera writes it, with a few tags before this one."""
    order = "little" if byte_order == "II" else "big"

    def number(x, size):
        return x.to_bytes(size, order)

    def entry(tag, kind, count, payload):
        head = number(tag, 2) + number(kind, 2) + number(count, 4)
        return head + payload.ljust(4, b"\x00")

    entries = [
        entry(0x010E, 2, 4, b"abc\x00"),
        entry(0x010F, 2, 4, b"\x01\x12\x00\x03"),  # text that looks like a tag
        entry(0x0112, 3, 1, number(value, 2)),
        entry(0x0128, 3, 1, number(2, 2)),
    ]
    if in_thumbnail:
        entries[2], thumbnail = entry(0x011A, 3, 1, number(1, 2)), [entries[2]]
    else:
        thumbnail = []
    tiff = byte_order.encode() + number(42, 2) + number(8, 4)
    tiff += number(len(entries), 2) + b"".join(entries)
    tiff += number(len(tiff) + 4 if thumbnail else 0, 4)
    tiff += number(len(thumbnail), 2) + b"".join(thumbnail) + number(0, 4)
    block = b"Exif\x00\x00" + tiff
    jpeg = encoded(image, "JPEG", quality=100, subsampling=0)
    length = (len(block) + 2).to_bytes(2, "big")
    return jpeg[:2] + b"\xff\xe1" + length + block + jpeg[2:]


@pytest.fixture
def photos(tmp_path):
    """24 images of 4 classes, JPEG and PNG, of different sizes."""
    paths = []
    for i in range(24):
        suffix = "png" if i % 3 == 0 else "jpg"
        path = tmp_path / f"{i}.{suffix}"
        picture(40 + i, 70 - i, seed=i).save(path, quality=95)
        paths.append(str(path))
    return ImageSet(paths, np.arange(24) % 4, "abcd")


# --- decoding -------------------------------------------------------------


@pytest.mark.parametrize(
    "suffix, mode, options",
    [
        ("JPEG", "RGB", {}),
        ("JPEG", "RGB", {"progressive": True, "quality": 50}),
        ("JPEG", "L", {}),
        ("JPEG", "CMYK", {}),
        ("PNG", "RGB", {}),
        ("PNG", "L", {}),
        ("PNG", "P", {}),
        ("PNG", "LA", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "1", {}),
        ("GIF", "RGB", {}),
        ("BMP", "RGB", {}),
        ("BMP", "RGBA", {}),
        ("WEBP", "RGB", {}),
        ("WEBP", "RGBA", {"lossless": True}),
    ],
)
def test_decodes_to_the_pixels_of_pillow(suffix, mode, options):
    contents = encoded(picture().convert(mode), suffix, **options)
    decoded = decode_image(contents)
    assert decoded.shape == (60, 90, 3)
    assert decoded.dtype == tf.uint8
    expected = Image.open(io.BytesIO(contents)).convert("RGB")
    np.testing.assert_array_equal(decoded, np.asarray(expected))


def test_sixteen_bits_become_eight():
    deep = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    decoded = decode_image(encoded(Image.fromarray(deep), "PNG")).numpy()
    np.testing.assert_array_equal(decoded[:, :, 1], deep >> 8)


def test_first_picture_of_an_animation():
    frames = [picture(seed=0), picture(seed=1)]
    contents = encoded(
        frames[0], "GIF", save_all=True, append_images=frames[1:]
    )
    decoded = decode_image(contents).numpy()
    assert decoded.shape == (60, 90, 3)
    expected = np.asarray(Image.open(io.BytesIO(contents)).convert("RGB"))
    np.testing.assert_array_equal(decoded, expected)


@pytest.mark.parametrize("byte_order", ["MM", "II"])
@pytest.mark.parametrize("value", range(1, 9))
def test_turns_photos_upright(value, byte_order):
    contents = with_orientation(picture(), value, byte_order)
    image = Image.open(io.BytesIO(contents))
    assert image.getexif()[0x0112] == value
    upright = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(decode_image(contents), upright)


@pytest.mark.parametrize("value", [0, 9])
def test_senseless_orientations_are_ignored(value):
    contents = with_orientation(picture(), value)
    assert decode_image(contents).shape == (60, 90, 3)


@pytest.mark.parametrize("byte_order", ["MM", "II"])
def test_orientation_of_the_thumbnail_is_ignored(byte_order):
    contents = with_orientation(picture(), 6, byte_order, in_thumbnail=True)
    assert 0x0112 not in Image.open(io.BytesIO(contents)).getexif()
    assert decode_image(contents).shape == (60, 90, 3)


# --- evaluation view ------------------------------------------------------


@pytest.mark.parametrize("crop", [True, False])
@pytest.mark.parametrize("target", [(24, 32), (64, 64), (33, 17)])
@pytest.mark.parametrize("source", [(60, 90), (91, 47), (20, 20), (24, 32)])
def test_load_image_is_keras_resizing(tmp_path, source, target, crop):
    path = tmp_path / "a.png"
    picture(*source).save(path)
    resizing = keras.layers.Resizing(
        *target,
        interpolation="bilinear",
        antialias=True,
        crop_to_aspect_ratio=crop,
        dtype="float32",
    )
    expected = resizing(np.asarray(Image.open(path))[None])[0]
    loaded = load_image(str(path), target, crop_to_aspect_ratio=crop)
    assert loaded.shape == (*target, 3)
    assert loaded.dtype == tf.uint8
    np.testing.assert_array_equal(loaded, np.round(expected))


def test_plain_dataset_is_in_order_and_complete(photos):
    dataset = plain_dataset(photos, SIZE, batch_size=7)
    assert dataset.cardinality() == 4
    image_spec, label_spec = dataset.element_spec
    assert image_spec.shape == (None, *SIZE, 3)
    assert (image_spec.dtype, label_spec.dtype) == (tf.uint8, tf.int64)
    batches = list(dataset.as_numpy_iterator())
    assert [len(labels) for _, labels in batches] == [7, 7, 7, 3]
    np.testing.assert_array_equal(
        np.concatenate([labels for _, labels in batches]), photos.labels
    )
    images = np.concatenate([images for images, _ in batches])
    for image, path in zip(images, photos.paths, strict=True):
        np.testing.assert_array_equal(image, load_image(path, SIZE))


def test_plain_dataset_can_squash(photos):
    dataset = plain_dataset(photos, SIZE, 1, crop_to_aspect_ratio=False)
    image = next(dataset.as_numpy_iterator())[0][0]
    expected = load_image(photos.paths[0], SIZE, crop_to_aspect_ratio=False)
    np.testing.assert_array_equal(image, expected)
    assert not np.array_equal(image, load_image(photos.paths[0], SIZE))


def test_plain_dataset_of_no_images():
    empty = ImageSet((), (), ("a", "b"))
    assert list(plain_dataset(empty, SIZE, 4)) == []


# --- training view --------------------------------------------------------


def views(path, policy, count, size=SIZE):
    return np.stack(
        [augment_image(path, size, policy, (3, i)) for i in range(count)]
    )


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("suffix", ["jpg", "png", "gif"])
def test_views_are_uint8_and_depend_on_the_seed(tmp_path, policy, suffix):
    path = str(tmp_path / f"a.{suffix}")
    picture().save(path)
    some = views(path, policy, 4)
    assert some.shape == (4, *SIZE, 3)
    assert some.dtype == np.uint8
    np.testing.assert_array_equal(some, views(path, policy, 4))
    different = len({view.tobytes() for view in some})
    assert different == (1 if policy == "none" else 4)


def test_no_augmentation_is_the_evaluation_view(photos):
    view = augment_image(photos.paths[1], SIZE, "none", (0, 0))
    np.testing.assert_array_equal(view, load_image(photos.paths[1], SIZE))


@pytest.mark.parametrize("file", ["a.png", "a.jpg", "sideways.jpg"])
@pytest.mark.parametrize(
    "policy, least, aspect", [("light", 0.5, 5 / 4), ("standard", 0.3, 4 / 3)]
)
def test_area_aspect_and_flip(tmp_path, policy, least, aspect, file):
    # Red grows to the right and green downwards, one step a pixel: a view
    # tells which part of the photo it shows.
    height, width = 120, 160
    ramp = np.zeros((height, width, 3), np.uint8)
    ramp[..., 0] = np.arange(width)
    ramp[..., 1] = np.arange(height)[:, None]
    path = tmp_path / file
    if file == "sideways.jpg":
        path.write_bytes(with_orientation(Image.fromarray(np.rot90(ramp)), 6))
    else:
        Image.fromarray(ramp).save(path, quality=100, subsampling=0)
    areas, aspects, flips, corners = [], [], [], []
    for view in views(str(path), policy, 60, (48, 64)).astype(float):
        # The slopes do not depend on brightness, and contrast changes both
        # by the same factor.
        right = (view[:, -8, 0] - view[:, 7, 0]).mean() / 49
        down = (view[-8, :, 1] - view[7, :, 1]).mean() / 33
        flips.append(right < 0)
        aspects.append(abs(right) / down)  # relative to the input's 4 to 3
        areas.append(abs(right) * 64 * down * 48 / (height * width))
        corners.append(view[:, :, 0].min())
    slack = 1.1 if policy == "light" else 1.6  # contrast, on both sides
    assert least / slack < min(areas) < max(areas) < slack
    assert max(areas) - min(areas) > 0.3
    assert 15 < sum(flips) < 45
    assert len(set(np.round(corners))) > 10
    assert 1 / aspect / 1.06 < min(aspects) < 1 / aspect * 1.15
    assert aspect / 1.15 < max(aspects) < aspect * 1.06


def test_colours_change_with_standard_alone(tmp_path):
    path = str(tmp_path / "grey.png")
    half = np.full((40, 40, 3), 100, np.uint8)
    half[:20] = 150
    Image.fromarray(half).save(path)
    light = views(path, "light", 20)
    assert (light.min(), light.max()) == (100, 150)
    standard = views(path, "standard", 20).reshape(20, -1)
    assert 75 < standard.mean(axis=1).min() < standard.mean(axis=1).max() < 175
    assert standard.mean(axis=1).std() > 3


def test_views_of_photos_taken_sideways_are_upright(tmp_path):
    # Blue sky above: the camera stored it in the left or right half.
    upright = np.zeros((80, 60, 3), np.uint8)
    upright[:40, :, 2] = 255
    for value in (1, 3, 6, 8):
        undo = {1: 0, 3: 2, 6: 1, 8: 3}[value]
        stored = Image.fromarray(np.rot90(upright, undo))
        path = tmp_path / f"{value}.jpg"
        path.write_bytes(with_orientation(stored, value))
        assert load_image(str(path), (8, 6))[0, :, 2].numpy().min() > 200
        for view in views(str(path), "light", 8):
            assert view[0, :, 2].min() > 200
            assert view[-1, :, 2].max() < 50


def test_real_photos(shared):
    folder = shared / "data" / "cub50" / "train"
    path = str(next(iter(sorted(folder.glob("*/*.jpg")))))
    whole = decode_image(tf.io.read_file(path)).numpy()
    expected = np.asarray(Image.open(path).convert("RGB"))
    np.testing.assert_array_equal(whole, expected)
    view = augment_image(path, (64, 64), "standard", (0, 1)).numpy()
    assert view.std() > 5


# --- batches --------------------------------------------------------------


def take(dataset, count):
    return list(dataset.take(count).as_numpy_iterator())


def assert_same_batches(one, two):
    assert len(one) == len(two)
    for (images, labels), (other_images, other_labels) in zip(
        one, two, strict=True
    ):
        np.testing.assert_array_equal(labels, other_labels)
        np.testing.assert_array_equal(images, other_images)


def test_n_pair_dataset_follows_the_plan(photos):
    plan = NPairPlan(photos.labels, 3, 2, seed=5)
    dataset = n_pair_dataset(photos, plan, SIZE, "none")
    assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY
    image_spec, label_spec = dataset.element_spec
    assert image_spec == tf.TensorSpec((6, *SIZE, 3), tf.uint8)
    assert label_spec == tf.TensorSpec((6,), tf.int64)
    plain = np.stack([load_image(path, SIZE) for path in photos.paths])
    indices = np.concatenate([plan.batches(epoch) for epoch in range(3)])
    assert len(indices) == 3 * plan.steps_per_epoch
    assert_same_batches(
        take(dataset, len(indices)),
        [(plain[row], photos.labels[row]) for row in indices],
    )


@pytest.mark.parametrize("policy", ["light", "standard"])
def test_a_resumed_stream_is_the_same_to_the_bit(photos, policy):
    plan = NPairPlan(photos.labels, 3, 2)
    steps = plan.steps_per_epoch
    whole = take(n_pair_dataset(photos, plan, SIZE, policy, seed=7), 3 * steps)
    for epoch, step in [(0, 0), (0, 2), (1, 0), (1, steps - 1), (1, steps)]:
        resumed = n_pair_dataset(
            photos, plan, SIZE, policy, 7, start_epoch=epoch, start_step=step
        )
        first = epoch * steps + step
        assert_same_batches(take(resumed, 3), whole[first : first + 3])


@pytest.mark.parametrize("part", [1, 2, 3])
def test_planning_in_parts_changes_no_batch(photos, part, monkeypatch):
    plan = NPairPlan(photos.labels, 3, 2)
    steps = plan.steps_per_epoch
    whole = take(n_pair_dataset(photos, plan, SIZE, "light"), 2 * steps)
    monkeypatch.setattr("mamc_keras.data.pipeline._PART", part)
    assert steps > part
    parts = n_pair_dataset(photos, plan, SIZE, "light", start_step=1)
    assert_same_batches(take(parts, 2 * steps - 1), whole[1:])


def test_views_differ_between_epochs_and_seeds(photos):
    plan = NPairPlan(photos.labels, 4, 2)
    steps = plan.steps_per_epoch
    batches = take(n_pair_dataset(photos, plan, SIZE, "light"), 4 * steps)
    shown = {image.tobytes() for images, _ in batches for image in images}
    assert len(shown) == 4 * steps * 8
    other = take(n_pair_dataset(photos, plan, SIZE, "light", seed=1), 1)
    assert not np.array_equal(other[0][0], batches[0][0])


def test_two_views_of_one_photo_in_a_group_differ(photos):
    lone = photos.take([0, 1, 5])  # classes 0, 1, 1
    plan = NPairPlan(lone.labels, 2, 2)
    [(images, labels)] = take(n_pair_dataset(lone, plan, SIZE, "light"), 1)
    twins = images[labels == 0]
    assert len(twins) == 2
    assert not np.array_equal(twins[0], twins[1])


def test_strong_is_seeded_and_stronger(photos):
    plan = NPairPlan(photos.labels, 4, 2)
    strong = take(n_pair_dataset(photos, plan, SIZE, "strong"), 4)
    assert strong[0][0].dtype == np.uint8
    assert strong[0][0].shape == (8, *SIZE, 3)
    again = take(n_pair_dataset(photos, plan, SIZE, "strong"), 4)
    assert_same_batches(strong, again)
    other = take(n_pair_dataset(photos, plan, SIZE, "strong", seed=1), 1)
    assert not np.array_equal(other[0][0], strong[0][0])
    standard = take(n_pair_dataset(photos, plan, SIZE, "standard"), 4)
    for (one, labels), (two, same_labels) in zip(strong, standard, strict=True):
        np.testing.assert_array_equal(labels, same_labels)
        assert not np.array_equal(one, two)


def test_keras_fits_on_it(photos):
    plan = NPairPlan(photos.labels, 4, 2)
    dataset = n_pair_dataset(photos, plan, SIZE, "light")
    model = keras.Sequential(
        [
            keras.layers.Rescaling(1 / 255),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4),
        ]
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(True))
    history = model.fit(
        dataset, epochs=2, steps_per_epoch=plan.steps_per_epoch, verbose=0
    )
    assert np.all(np.isfinite(history.history["loss"]))


def test_a_vanished_file_is_named(photos):
    os.remove(photos.paths[10])
    plan = NPairPlan(photos.labels, 4, 2)
    dataset = n_pair_dataset(photos, plan, SIZE, "light")
    with pytest.raises(tf.errors.NotFoundError, match="10.jpg"):
        for _ in itertools.islice(dataset, plan.steps_per_epoch):
            pass


def test_file_names_need_not_be_utf8(tmp_path):
    paths = [os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.png")]
    try:
        picture().save(paths[0])
    except (OSError, UnicodeError):
        pytest.skip("This file system only takes UTF-8 names.")
    images = ImageSet(paths, [0], ["a"])
    [(batch, _)] = plain_dataset(images, SIZE, 1).as_numpy_iterator()
    assert batch.shape == (1, *SIZE, 3)


def test_says_what_is_wrong(photos):
    plan = NPairPlan(photos.labels, 4, 2)
    with pytest.raises(ValueError, match="augmentation='mild'. Choose one of"):
        n_pair_dataset(photos, plan, SIZE, "mild")
    with pytest.raises(ValueError, match="augmentation='mild'. Choose one of"):
        augment_image(photos.paths[0], SIZE, "mild", (0, 0))
    with pytest.raises(ValueError, match="24 images and 3 images"):
        n_pair_dataset(photos.take([0, 1, 2]), plan, SIZE, "none")
    for place in [{"start_epoch": -1}, {"start_step": 4}, {"start_step": -1}]:
        with pytest.raises(ValueError, match="a step from 0 to 3. Received"):
            n_pair_dataset(photos, plan, SIZE, "none", **place)


@pytest.mark.parametrize("scale", [1, 1.9, 2, 3, 4.5, 9])
@pytest.mark.parametrize("value", [1, 6])
def test_views_of_large_jpegs_are_near_the_exact_ones(scale, value):
    """The decoder's own shrinking against cutting and an antialiased resize."""
    size = (48, 40)
    large = picture(int(75 * scale), int(95 * scale))
    noise = np.random.default_rng(0).normal(0, 6, (*large.size[::-1], 1))
    pixels = np.clip(np.asarray(large) + noise, 0, 255).astype("uint8")
    contents = with_orientation(Image.fromarray(pixels), value)
    for seed in range(6):
        seeds = tf.random.split((seed, 0), 2)
        view = random_crop_and_flip(contents, size, "light", (seed, 0))
        box = choose_part(tf.shape(pixels), size, "light", seeds[0], value >= 5)
        whole = tf.io.decode_jpeg(contents, dct_method="INTEGER_ACCURATE")
        part = tf.slice(whole, [*box[:2], 0], [*box[2:], 3])
        part = np.rot90(part, -1) if value == 6 else part
        exact = tf.image.resize(part, size, antialias=True)
        exact = tf.image.stateless_random_flip_left_right(exact, seeds[1])
        assert np.abs(view - exact).mean() < 7  # of 255 grey levels


@pytest.mark.parametrize("cores", [{0}, {0, 1}])
def test_datasets_close_at_once_on_one_core(monkeypatch, photos, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cores)
    plan = NPairPlan(photos.labels, 2, 2, seed=0)
    features = np.zeros((len(photos), 1, 1, 1, 1), np.float16)
    datasets = (
        plain_dataset(photos, SIZE, 3),
        n_pair_dataset(photos, plan, SIZE, "none", seed=0),
        plain_feature_batches(features, photos.labels, 3),
    )
    for dataset in datasets:
        assert len(list(dataset.take(2))) == 2
        # Unset is None and means on.
        tuned = dataset.options().autotune.enabled
        assert tuned is (False if len(cores) == 1 else None)
