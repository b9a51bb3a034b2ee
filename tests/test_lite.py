"""The runtime for small computers against TensorFlow and Keras."""

import json
import shutil
import subprocess
import sys
import zipfile

import exported
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mamc_keras import lite
from mamc_keras.data.decode import decode_image
from mamc_keras.data.decode import resize_image
from mamc_keras.export.litert import export_litert


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lite")
    return export_litert(exported.trained(), folder / "model.tflite")


@pytest.fixture
def stripped(file, tmp_path):
    """The same model without the zip at its end, alone in a folder."""
    path = tmp_path / "model.tflite"
    with zipfile.ZipFile(file) as archive:
        start = min(i.header_offset for i in archive.infolist())
    path.write_bytes(file.read_bytes()[:start])
    return path


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_imports_no_tensorflow(file, tmp_path):
    photo = tmp_path / "photo.png"
    Image.fromarray(noise(50, 70, 3)).save(photo)
    script = """
import sys
from mamc_keras.lite import Classifier
def heavy():
    return {"tensorflow", "keras", "jax", "torch"} & set(sys.modules)
before = heavy() | ({"PIL"} & set(sys.modules))
import numpy as np
classifier = Classifier(sys.argv[1])
classifier.predict(np.zeros((40, 60, 3), np.uint8))
assert "PIL" not in sys.modules  # only for files
names = [name for name, _ in classifier.top(sys.argv[2], 4)]
assert not before and not heavy(), (before, heavy())
print(ascii(sorted(names)))
"""
    result = subprocess.run(
        [sys.executable, "-c", script, str(file), str(photo)],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == ascii(sorted(exported.NAMES))


@pytest.mark.parametrize("crop", [True, False])
@pytest.mark.parametrize("size", [(224, 224), (32, 32), (192, 256)])
def test_resize_equals_keras_on_real_photos(shared, size, crop):
    layer = keras.layers.Resizing(
        *size, antialias=True, crop_to_aspect_ratio=crop, dtype="uint8"
    )
    for name in ("cub50", "cars98", "grocery81"):
        test = shared / "data" / name / "test"
        path = sorted(test.rglob("*.jpg"))[7]
        image = lite.read_image(path)
        expected = np.asarray(layer(image))
        found = lite.resize(image, size, crop)
        assert found.dtype == np.uint8
        distance = np.abs(found.astype(int) - expected)
        assert distance.max() <= 1
        assert distance.mean() < 1e-3


@pytest.mark.parametrize(
    "shape",
    [(1, 1), (1, 500), (500, 1), (3, 2), (33, 32), (32, 32), (7, 4001)],
)
@pytest.mark.parametrize("crop", [True, False])
def test_resize_equals_training_for_odd_shapes(shape, crop):
    image = noise(*shape, 3)
    for size in ((32, 32), (20, 48)):
        expected = resize_image(image, size, crop).numpy().astype(int)
        found = lite.resize(image, size, crop)
        assert np.abs(found - expected).max() <= 1


def test_large_photo_gets_the_scores_of_keras(file):
    small_photo = noise(12, 16, 3)
    photo = small_photo.repeat(250, axis=0).repeat(250, axis=1)  # 12 MP
    assert photo.shape == (3000, 4000, 3)
    model = exported.trained()
    seen = resize_image(photo, (exported.SIZE,) * 2, True)
    expected = model.probabilities(seen[None])[0]
    found = lite.Classifier(file).predict(photo)
    assert found.shape == (4,) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_squeezed_photos_when_the_model_was_trained_so(tmp_path):
    pixels = {**exported.PIXELS, "crop_to_aspect_ratio": False}
    model = exported.classifier(preprocessor=pixels)
    classifier = lite.Classifier(export_litert(model, tmp_path / "a.tflite"))
    assert classifier.crop_to_aspect_ratio is False
    photo = noise(60, 200, 3)
    seen = resize_image(photo, (exported.SIZE,) * 2, False)
    np.testing.assert_allclose(
        classifier.predict(photo),
        model.probabilities(seen[None])[0],
        atol=2e-3,
    )


def test_top_is_sorted_and_named(file):
    classifier = lite.Classifier(file)
    photo = exported.photos(1)[0][0]
    answers = classifier.top(photo, 3)
    probabilities = classifier.predict(photo)
    assert [p for _, p in answers] == sorted(probabilities, reverse=True)[:3]
    assert answers[0][0] == exported.NAMES[probabilities.argmax()]
    assert len(classifier.top(photo, 99)) == 4
    assert all(type(share) is float for _, share in answers)


@pytest.mark.parametrize(
    "mode, suffix",
    [
        ("RGB", "jpg"),
        ("L", "jpg"),
        ("RGB", "png"),
        ("RGBA", "png"),
        ("LA", "png"),
        ("P", "png"),
        ("I;16", "png"),
        ("P", "gif"),
        ("RGB", "bmp"),
    ],
)
def test_reads_files_as_training_does(tmp_path, mode, suffix):
    path = tmp_path / f"photo.{suffix}"
    if mode == "I;16":
        Image.fromarray(noise(20, 30, 2).view(np.uint16)[..., 0]).save(path)
    else:
        Image.fromarray(noise(20, 30, 4), "RGBA").convert("RGB").convert(
            mode
        ).save(path)
    expected = decode_image(path.read_bytes()).numpy()
    np.testing.assert_array_equal(lite.read_image(path), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_photos_upright_as_training_does(tmp_path, orientation):
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(noise(20, 30, 3)).save(path, exif=exif)
    expected = decode_image(path.read_bytes()).numpy()
    np.testing.assert_array_equal(lite.read_image(path), expected)


def test_labels_beside_the_file_and_no_labels(stripped):
    assert lite.Classifier(stripped).class_names == ("0", "1", "2", "3")
    labels = stripped.with_name("labels.txt")
    labels.write_text("ä\nb c\n\u2028\nd\n", encoding="utf-8")
    assert lite.Classifier(stripped).class_names == ("ä", "b c", "\u2028", "d")
    labels.write_text("a\nb\n", encoding="utf-8")
    with pytest.raises(ValueError, match="2 names for 4 classes"):
        lite.Classifier(stripped)


def test_the_zip_wins_over_a_file_beside(file, tmp_path):
    path = shutil.copy(file, tmp_path)
    (tmp_path / "labels.txt").write_text("of\nanother\nmodel\n")
    assert lite.Classifier(path).class_names == exported.NAMES
    with zipfile.ZipFile(path) as archive:
        settings = json.loads(archive.read("mamc.json"))
    assert settings["image_size"] == [32, 32]
    assert settings["crop_to_aspect_ratio"] is True


def test_missing_and_wrong_files(file, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such model file"):
        lite.Classifier(tmp_path / "none.tflite")
    text = tmp_path / "text.tflite"
    text.write_text("This is no model at all.")
    with pytest.raises(ValueError, match="no .tflite file"):
        lite.Classifier(text)
    text.write_bytes(b"")
    with pytest.raises(ValueError, match="no .tflite file"):
        lite.Classifier(text)
    half = tmp_path / "half.tflite"
    half.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ValueError, match="damaged"):
        lite.Classifier(half)


def test_refuses_a_model_that_is_no_classifier(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 3), tf.float32)])
    def mean(image):
        return tf.reduce_mean(image, axis=(1, 2))

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [mean.get_concrete_function()], mean
    )
    path = tmp_path / "mean.tflite"
    path.write_bytes(converter.convert())
    with pytest.raises(ValueError, match="no signature .classify."):
        lite.Classifier(path)


@pytest.mark.parametrize(
    "shape", [(20, 30), (20, 30, 4), (1, 20, 30, 3), (0, 30, 3), (3, 20, 30)]
)
def test_refuses_other_shapes(file, shape):
    with pytest.raises(ValueError, match=r"\(height, width, 3\)"):
        lite.Classifier(file).predict(np.zeros(shape, np.uint8))


def test_refuses_floats_and_what_is_no_photo(file, tmp_path):
    classifier = lite.Classifier(file)
    with pytest.raises(ValueError, match="uint8"):
        classifier.predict(np.zeros((20, 30, 3), np.float32))
    with pytest.raises(FileNotFoundError, match="no such photo"):
        classifier.predict(tmp_path / "none.jpg")
    text = tmp_path / "text.jpg"
    text.write_text("no photo")
    with pytest.raises(ValueError, match="no image"):
        classifier.predict(str(text))
    whole = tmp_path / "whole.jpg"
    Image.fromarray(noise(200, 300, 3)).save(whole)
    half = tmp_path / "half.jpg"
    half.write_bytes(whole.read_bytes()[:9000])
    with pytest.raises(ValueError, match="no image"):
        classifier.predict(half)
