"""Programs that apps really use read our files and give our scores.

They live in an environment of their own without TensorFlow and Keras
(`make clients`), each in its own process and without a network.
"""

import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import exported
import numpy as np
import pytest

from mamc_keras import lite
from mamc_keras.export.litert import export_litert
from mamc_keras.export.onnx import export_onnx

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".venv-clients" / "bin" / "python"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PYTHON.exists(), reason="no .venv-clients; make clients makes it"
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("clients")


@pytest.fixture(scope="module")
def photos(folder):
    photos, _ = exported.photos(3)
    np.save(folder / "photos.npy", photos)
    return photos


@pytest.fixture(scope="module", params=["float32", "int8"])
def variant(request):
    return request.param


@pytest.fixture(scope="module")
def classifier(folder, variant):
    calibration, _ = exported.photos(10, seed=1)
    path = folder / f"model_{variant}.tflite"
    return export_litert(exported.trained(), path, variant, calibration)


def run(client, *arguments):
    """What a client in another environment prints, as JSON."""
    command = [PYTHON, ROOT / "tests" / "clients" / f"{client}_client.py"]
    if shutil.which("unshare") and offline_works():
        command = ["unshare", "--net", *command]
    done = subprocess.run(
        [*map(str, (*command, *arguments))],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def offline_works():
    command = ["unshare", "--net", "true"]
    return subprocess.run(command, capture_output=True).returncode == 0


def ours(path, photos):
    classifier = lite.Classifier(path)
    return np.stack([classifier.predict(photo) for photo in photos])


def test_mediapipe_classifies_with_our_names(classifier, photos, folder):
    rows = run("mediapipe", "classify", classifier, folder / "photos.npy")
    assert [set(row) for row in rows] == [set(exported.NAMES)] * len(photos)
    found = [[row[name] for name in exported.NAMES] for row in rows]
    np.testing.assert_allclose(found, ours(classifier, photos), atol=0.01)


def test_mediapipe_without_metadata_has_no_names(classifier, photos, folder):
    """The mutation of the test above: names come from the metadata alone."""
    contents = classifier.read_bytes().replace(b"TFLITE_METADATA", b"N" * 15)
    bare = folder / "bare.tflite"
    bare.write_bytes(contents)
    rows = run("mediapipe", "classify", bare, folder / "photos.npy")
    assert not set(rows[0]) & set(exported.NAMES)


def test_mediapipe_embeds(folder, variant, photos):
    calibration, _ = exported.photos(10, seed=1)
    path = export_litert(
        exported.trained(),
        folder / f"embedder_{variant}.tflite",
        variant,
        calibration,
        "embedder",
    )
    found = np.array(run("mediapipe", "embed", path, folder / "photos.npy"))
    embedder = lite.Embedder(path)
    expected = np.stack([embedder.embed(photo) for photo in photos])
    assert (found * expected).sum(axis=1).min() > 0.999


@pytest.mark.parametrize("client", ["opencv", "openvino"])
def test_other_readers_of_tflite(client, folder, photos):
    path = export_litert(exported.trained(), folder / "plain.tflite")
    found = run(client, path, folder / "photos.npy")
    np.testing.assert_allclose(found, ours(path, photos), atol=1e-3)


@pytest.mark.parametrize("client", ["onnx", "openvino"])
def test_onnx(client, folder, photos):
    path = export_onnx(exported.trained(), folder / "model.onnx", photos)
    found = run(client, path, folder / "photos.npy")
    expected = exported.trained().probabilities(photos)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_our_runtime_where_there_is_no_tensorflow(classifier, photos, folder):
    found = run("lite", classifier, folder / "photos.npy")
    np.testing.assert_allclose(found, ours(classifier, photos), atol=1e-4)


# === The shipped model on real photos ===


def test_mediapipe_reads_the_shipped_model(shared, folder):
    path = ROOT / "saved_models" / "grocery81_lite0" / "model_int8.tflite"
    files = sorted((shared / "data/grocery81/test").rglob("*.jpg"))[::250]
    classifier = lite.Classifier(path)
    images = [
        lite.resize(lite.read_image(file), classifier.image_size)
        for file in files
    ]
    np.save(folder / "real.npy", images)
    rows = run("mediapipe", "classify", path, folder / "real.npy")
    with zipfile.ZipFile(path) as archive:
        names = archive.read("labels.txt").decode().split("\n")[:-1]
    found = np.array([[row[name] for name in names] for row in rows])
    expected = ours(path, images)
    np.testing.assert_allclose(found, expected, atol=0.02)
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()
    assert found.max(axis=1).mean() > 0.5
