"""Every layout and variant of a .tflite file against Keras."""

import csv
import json
import zipfile

import exported
import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from mamc_keras import lite
from mamc_keras.evaluation.answers import answer
from mamc_keras.evaluation.stored_calibration import Calibration
from mamc_keras.evaluation.unknown import class_prototypes
from mamc_keras.evaluation.unknown import max_probability
from mamc_keras.export import layouts
from mamc_keras.export import litert
from mamc_keras.export.benchmark import benchmark
from mamc_keras.export.choice import recommended
from mamc_keras.export.litert import export_litert
from mamc_keras.export.parity import ParityError
from mamc_keras.export.saved_model import export_saved_model
from mamc_keras.export.shrink import shrink
from mamc_keras.export.tflite_file import read_contents
from mamc_keras.export.variants import VARIANTS

SIZE = exported.SIZE
# Largest distance from Keras: probabilities; cosine of embeddings and maps.
ALLOWED = {
    "float32": (1e-5, 0.99999),
    "float16": (5e-3, 0.9999),
    "dynamic": (0.15, 0.99),
    "int8": (0.4, 0.97),
    "mixed": (0.4, 0.97),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("layouts")


@pytest.fixture(scope="module")
def written(folder):
    """Files by (layout, variant), written when first asked for."""
    photos, _ = exported.photos(10, seed=1)
    files = {}

    def write(layout, variant):
        if (layout, variant) not in files:
            path = folder / f"{layout}_{variant}.tflite"
            files[layout, variant] = export_litert(
                exported.trained(), path, variant, photos, layout
            )
        return files[layout, variant]

    return write


def cosines(first, second):
    first, second = (np.reshape(x, (len(x), -1)) for x in (first, second))
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(axis=1) / lengths


@pytest.mark.parametrize("variant", VARIANTS)
def test_full_gives_what_keras_gives(written, variant):
    path = written("full", variant)
    contents = read_contents(path)
    assert sorted(contents.signatures) == ["attend", "classify", "embed"]
    assert contents.unusable() == []
    model, (photos, _) = exported.trained(), exported.photos()
    difference, cosine = ALLOWED[variant]
    classifier, embedder = lite.Classifier(path), lite.Embedder(path)
    found = np.stack([classifier.predict(photo) for photo in photos])
    gap = np.abs(found - model.probabilities(photos)).max()
    assert gap < difference
    maps = np.stack([classifier.attend(photo) for photo in photos])
    assert maps.shape == model.attend(photos).shape
    assert cosines(maps, model.attend(photos)).min() > cosine
    found = np.stack([embedder.embed(photo) for photo in photos])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    expected = model.embed(photos)
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
    assert cosines(found, expected).min() > cosine


@pytest.mark.parametrize("variant", VARIANTS)
def test_embedder_gives_normalised_branches(written, variant):
    path = written("embedder", variant)
    runner = Interpreter(str(path)).get_signature_runner("embed")
    photos, _ = exported.photos()
    found = np.concatenate(
        [runner(image=photo[None])["embedding"] for photo in photos]
    )
    expected = exported.trained().embed(photos)
    branches = expected.shape[1]
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
    assert found.shape == (len(photos), expected[0].size)
    lengths = np.linalg.norm(found.reshape(expected.shape), axis=-1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-4)
    assert cosines(found, expected).min() > ALLOWED[variant][1]
    unit = lite.Embedder(path).embed(photos[0])
    np.testing.assert_allclose(unit * branches**0.5, found[0], atol=1e-5)
    with pytest.raises(ValueError, match="no signature 'classify'"):
        lite.Classifier(path)


def test_sizes_and_types_of_the_variants(written):
    files = {v: written("classifier", v) for v in VARIANTS}
    bytes_ = {v: path.stat().st_size for v, path in files.items()}
    assert bytes_["float16"] < bytes_["float32"]
    assert bytes_["int8"] < bytes_["mixed"] < bytes_["float32"]
    types = {v: read_contents(path).weight_types for v, path in files.items()}
    assert set(types["float32"]) == set(types["float16"]) == {"FLOAT32"}
    assert set(types["int8"]) == {"INT8"}
    # Rescale and 3 convolutions are int8, the head's dense layers are not.
    assert types["mixed"] == {"INT8": 4, "FLOAT32": 7}
    parameters = {read_contents(path).parameters for path in files.values()}
    model = exported.trained()
    for count in parameters:
        assert count == pytest.approx(model.count_params(), rel=0.15)


def test_labels_and_metadata_are_in_every_file(written):
    for layout in layouts.LAYOUTS:
        path = written(layout, "float32")
        with zipfile.ZipFile(path) as archive:
            assert "labels.txt" in archive.namelist()
        # Of the two schemas, MediaPipe's is tested with MediaPipe itself.
        has = b"TFLITE_METADATA" in path.read_bytes()
        assert has == (layout != "full")


# === Photos of any size ===


@pytest.mark.parametrize("crop", [True, False])
@pytest.mark.parametrize(
    "shape", [(32, 32), (50, 70), (333, 97), (20, 30), (5, 90), (31, 33)]
)
def test_shrink_equals_the_phone_runtime(shape, crop):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    for size in ((32, 32), (20, 48)):
        expected = lite.resize(image, size, crop).astype(int)
        found = np.asarray(shrink(image[None].astype("float32"), size, crop))
        assert found.shape == (1, *size, 3)
        # A tie may round to the other side.
        assert np.abs(found[0] - expected).max() <= 1
        assert np.abs(found[0] - expected).mean() < 0.01


def test_shrink_is_antialiased():
    lines = np.zeros((1, 64, 64, 3), "float32")
    lines[:, ::2] = 255
    found = np.asarray(shrink(lines, (8, 8)))
    assert found[:, 1:-1].min() > 120 and found[:, 1:-1].max() < 135
    plain = keras.layers.Resizing(8, 8, interpolation="nearest")(lines)
    assert set(np.unique(plain)) <= {0.0, 255.0}  # what must not happen


def test_files_for_photos_of_any_size(tmp_path):
    model = exported.trained()
    path = export_litert(
        model, tmp_path / "any.tflite", "float32", None, "full", True
    )
    assert read_contents(path).unusable() == []
    fixed = export_litert(
        model, tmp_path / "fixed.tflite", "float32", None, "full"
    )
    rng = np.random.default_rng(1)
    for shape in ((32, 32), (60, 90), (200, 40)):
        photo = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        found, expected = lite.Classifier(path), lite.Classifier(fixed)
        assert found.image_size is None
        np.testing.assert_allclose(
            found.predict(photo), expected.predict(photo), atol=5e-3
        )
        assert found.attend(photo).shape == expected.attend(photo).shape


def test_int8_of_any_size_is_refused(tmp_path):
    photos, _ = exported.photos()
    with pytest.raises(ValueError, match="shrunk in float32"):
        export_litert(
            exported.trained(), tmp_path / "a.tflite", "int8", photos, "full", 1
        )
    assert not list(tmp_path.iterdir())


# === Files that must not be written ===


@pytest.mark.parametrize(
    "signature, variant, wrong, match",
    [
        ("embed", "float32", lambda x: x[:, ::-1], "embed with a cosine"),
        ("attend", "float32", lambda x: x[..., ::-1], "attend with a cosine"),
        ("embed", "int8", lambda x: x * 0 + 1, "embed with a cosine"),
        ("embed", "float16", lambda x: x * np.nan, "NaN"),
    ],
)
def test_wrong_vectors_are_found(
    signature, variant, wrong, match, tmp_path, monkeypatch
):
    networks = litert.networks

    def changed(*arguments):
        parts = networks(*arguments)
        name, network = parts[signature]
        layer = keras.layers.Lambda(wrong, output_shape=network.output.shape)
        parts[signature] = (
            name,
            keras.Model(network.inputs, layer(network.outputs[0])),
        )
        return parts

    monkeypatch.setattr(litert, "networks", changed)
    photos, _ = exported.photos(10, seed=1)
    with pytest.raises(ParityError, match=match):
        export_litert(
            exported.trained(), tmp_path / "a.tflite", variant, photos, "full"
        )
    assert not list(tmp_path.iterdir())


# === Temperature, and photos of none of the classes ===


@pytest.fixture(scope="module")
def calibrated():
    model = exported.classifier()
    photos, labels = exported.photos(10, seed=1)
    embeddings = model.embed(photos)
    model.calibration = Calibration(
        temperature=2.5,
        score="prototype",
        threshold=0.9,
        false_alarm_rate=0.05,
        images=100,
        prototypes=class_prototypes(embeddings, labels, 4).astype("float16"),
    )
    return model


@pytest.mark.parametrize("variant", ["float32", "int8"])
def test_temperature_and_threshold_travel_inside(calibrated, variant, tmp_path):
    photos, _ = exported.photos(10, seed=1)
    path = export_litert(
        calibrated, tmp_path / "full.tflite", variant, photos, "full"
    )
    classifier = lite.Classifier(path)
    found = np.stack([classifier.predict(photo) for photo in photos])
    expected = calibrated.probabilities(photos)
    np.testing.assert_allclose(found, expected, atol=ALLOWED[variant][0])
    colder = exported.trained().probabilities(photos)
    assert found.max(axis=1).mean() < colder.max(axis=1).mean() - 0.05
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, photos.shape, dtype=np.uint8)
    mixed = np.concatenate([photos, noise])
    known = calibrated.is_unknown(mixed)
    assert 0 < known.sum() < len(known)
    scores = calibrated.known_score(
        calibrated.heads(calibrated.preprocess(mixed))
    )
    clear = np.abs(np.asarray(scores) - 0.9) > 0.03  # not on the edge
    answers = np.array([classifier.is_unknown(photo) for photo in mixed])
    np.testing.assert_array_equal(answers[clear], known[clear])
    for i in (np.flatnonzero(clear & known)[0], np.flatnonzero(~known)[0]):
        Image.fromarray(mixed[i]).save(tmp_path / "photo.png")
        (_, _, unknown), *_ = answer(path, [tmp_path / "photo.png"])
        assert unknown == answers[i]


@pytest.mark.parametrize("layout", ["classifier", "full"])
def test_largest_probability_travels_without_prototypes(layout, tmp_path):
    model = exported.classifier()
    photos, _ = exported.photos(10, seed=1)
    heads = model.heads(model.preprocess(photos))
    logits = np.asarray(heads["logits"])
    values = np.sort(max_probability(logits))
    # Between two photos, so that rounding does not decide.
    gap = np.diff(values).argmax()
    threshold = float(values[gap : gap + 2].mean())
    model.calibration = Calibration(
        2.5, "max_probability", threshold, 0.05, 100
    )
    path = export_litert(model, tmp_path / "model.tflite", layout=layout)
    classifier = lite.Classifier(path)
    assert classifier.has_threshold
    found = [classifier.is_unknown(photo) for photo in photos]
    np.testing.assert_array_equal(found, model.is_unknown(photos))
    assert 0 < np.sum(found) < len(photos)


def test_files_that_cannot_tell_say_so(calibrated, written, tmp_path):
    plain = lite.Classifier(written("full", "float32"))
    photo = exported.photos(1)[0][0]
    assert not plain.has_threshold
    with pytest.raises(ValueError, match="cannot tell"):
        plain.is_unknown(photo)
    path = export_litert(calibrated, tmp_path / "model.tflite")
    with pytest.raises(ValueError, match="cannot tell"):
        lite.Classifier(path).is_unknown(photo)


def test_saved_model_knows_too(calibrated, tmp_path):
    folder = export_saved_model(calibrated, tmp_path / "saved")
    saved = tf.saved_model.load(str(folder))
    photos, _ = exported.photos(2)
    np.testing.assert_allclose(
        saved.serve(photos), calibrated.probabilities(photos), atol=1e-5
    )
    expected = calibrated.known_score(
        calibrated.heads(calibrated.preprocess(photos))
    )
    np.testing.assert_allclose(saved.known(photos), expected, atol=1e-5)
    settings = json.loads((folder / "assets" / "mamc.json").read_text())
    assert settings["unknown"]["threshold"] == 0.9
    assert settings["temperature"] == 2.5


# === Which file to ship ===


def test_a_file_that_costs_accuracy_is_not_recommended():
    def report(accuracy):
        return {"accuracy_keras": 0.9, "accuracy_tflite": accuracy}

    files = {"float32": report(0.9), "int8": report(0.8949)}
    assert recommended(files) == "float32"
    assert recommended({**files, "mixed": report(0.8951)}) == "mixed"
    assert recommended({**files, "dynamic": report(0.91)}) == "dynamic"
    assert recommended({**files, "int8": report(0.8951)}) == "int8"
    assert recommended({"int8": files["int8"]}) is None


# === mamc benchmark ===


def test_benchmark_writes_a_row_a_file(written, tmp_path):
    for layout in ("classifier", "embedder", "full"):
        path = written(layout, "float32")
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "parity.json").write_text(
        '{"full_float32.tflite": {"accuracy_tflite": 0.5, "agreement": 1.0}}'
    )
    rows, path = benchmark(tmp_path, runs=3, threads=(1,))
    with open(path, newline="") as stream:
        assert [*csv.DictReader(stream)] == [
            {name: str(value) for name, value in row.items()} for row in rows
        ]
    assert [row["file"] for row in rows] == [
        "classifier_float32.tflite",
        "embedder_float32.tflite",
        "full_float32.tflite",
    ]
    for row in rows:
        assert row["p95_ms_1_threads"] >= row["median_ms_1_threads"] > 0
        assert float(row["memory_mb"]) > 0
    assert rows[2]["accuracy_tflite"] == "0.5"
    assert rows[0]["accuracy_tflite"] == ""


def test_benchmark_says_what_is_wrong(tmp_path):
    with pytest.raises(ValueError, match="no .tflite file"):
        benchmark(tmp_path)
    (tmp_path / "model.tflite").write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"Received: .*model.tflite"):
        benchmark(tmp_path)
