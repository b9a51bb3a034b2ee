"""Exported files against the Keras model, and files that must not exist."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import exported
import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from PIL import Image
from small import encoder

from mamc_keras import MAMCImageClassifier
from mamc_keras.data.decode import resize_image
from mamc_keras.data.sources import ImageSet
from mamc_keras.data.sources import open_source
from mamc_keras.export import litert
from mamc_keras.export.deployable import deployable
from mamc_keras.export.litert import export_litert
from mamc_keras.export.parity import ParityError
from mamc_keras.export.parity_report import parity_report
from mamc_keras.export.saved_model import export_saved_model
from mamc_keras.export.tflite_file import check_operations
from mamc_keras.export.tflite_file import read_contents

SIZE = exported.SIZE


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def float_file(folder):
    return export_litert(exported.trained(), folder / "model.tflite")


@pytest.fixture(scope="module")
def int8_file(folder):
    photos, _ = exported.photos(10, seed=1)
    return export_litert(
        exported.trained(), folder / "model_int8.tflite", "int8", photos
    )


@pytest.fixture(scope="module")
def saved_model(folder):
    return export_saved_model(exported.trained(), folder / "saved_model")


def run(path, image):
    """Runs a file by its one signature, as a client of LiteRT does."""
    runner = Interpreter(str(path)).get_signature_runner("classify")
    return runner(image=image[None])["probabilities"]


# === LiteRT ===


@pytest.mark.parametrize("name", ["float_file", "int8_file"])
def test_layout_that_clients_accept(name, request):
    path = request.getfixturevalue(name)
    interpreter = Interpreter(str(path))
    assert interpreter.get_signature_list() == {
        "classify": {"inputs": ["image"], "outputs": ["probabilities"]}
    }
    (image,) = interpreter.get_input_details()
    (output,) = interpreter.get_output_details()
    assert image["dtype"] is np.uint8 and output["dtype"] is np.float32
    assert image["shape"].tolist() == [1, SIZE, SIZE, 3]
    assert image["shape_signature"].tolist() == [1, SIZE, SIZE, 3]
    assert output["shape"].tolist() == [1, 4]
    # A quantised input would need scale 1 and zero point 0; plain uint8 has
    # neither.
    assert image["quantization"] == (0.0, 0)
    assert output["quantization"] == (0.0, 0)


def test_float_file_equals_keras(float_file):
    photos, _ = exported.photos()
    found = np.concatenate([run(float_file, photo) for photo in photos])
    expected = exported.trained().probabilities(photos)
    assert expected.max(axis=1).mean() > 0.6  # answers, not noise
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_only_built_in_operations(float_file, int8_file):
    for path in (float_file, int8_file):
        contents = read_contents(path)
        assert contents.unusable() == []
        assert contents.operations["SOFTMAX"] == 1
        assert contents.signatures == ("classify",)
        interpreter = Interpreter(str(path))
        # The runtime's own list, to check our reader of the file.
        names = [o["op_name"] for o in interpreter._get_ops_details()]
        assert sorted({*names} - {"DELEGATE"}) == sorted(contents.operations)


def test_int8_is_int8_with_a_scale_for_each_channel(float_file, int8_file):
    assert set(read_contents(float_file).weight_types) == {"FLOAT32"}
    contents = read_contents(int8_file)
    # Rescale, 3 convolutions, 2 x (W1, W2, W3), the classifier.
    assert contents.weight_types == {"INT8": 11}
    assert contents.per_channel == 11
    # All but cast, dequantize and softmax.
    assert contents.int8_share > 0.85
    check_operations(int8_file, "int8")
    with pytest.raises(ValueError, match="not what int8 promises"):
        check_operations(float_file, "int8")


def test_int8_answers_like_keras(int8_file):
    photos, labels = exported.photos(32, seed=7)
    report = parity_report(exported.trained(), int8_file, (photos, labels))
    assert report["agreement"] >= 0.95
    assert abs(report["accuracy_keras"] - report["accuracy_tflite"]) <= 0.03
    assert report["moved"] < 0.05
    # Steps of 1/256, an int8 softmax, would not add up to 1.
    sums = [run(int8_file, photo).sum() for photo in photos[:20]]
    np.testing.assert_allclose(sums, 1, atol=1e-5)


def test_labels_and_settings_travel_inside(float_file, int8_file):
    for path, variant in ((float_file, "float32"), (int8_file, "int8")):
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            labels = archive.read("labels.txt").decode()
            settings = json.loads(archive.read("mamc.json"))
        assert labels == "red cup\n001.Grün\na,b\nlast\n"
        assert settings["variant"] == variant
        assert settings["layout"] == "classifier"
        assert settings["num_classes"] == 4
        beside = path.with_name("labels.txt").read_text(encoding="utf-8")
        assert beside == labels


@pytest.mark.parametrize(
    "changes",
    [
        {"num_attentions": 0},
        {"grid_size": None, "num_attentions": 3},
        {"grid_size": 3, "activation": "softmax", "dropout": 0.5},
        {"preprocessor": None, "image_size": (SIZE, SIZE)},
        {
            "preprocessor": keras.applications.mobilenet_v2.preprocess_input,
            "image_size": (SIZE, SIZE),
        },
        {
            "preprocessor": {
                "image_size": (SIZE, SIZE),
                "scale": [1 / 58, 1 / 57, 1 / 56],
                "offset": [-2.1, -2.0, -1.8],
            },
            "class_names": None,
        },
    ],
    ids=["softmax", "flatten", "grid", "raw", "callable", "channels"],
)
def test_every_kind_of_classifier(changes, tmp_path):
    settings = {
        "preprocessor": dict(exported.PIXELS),
        "embedding_dim": 8,
        **changes,
    }
    model = MAMCImageClassifier(encoder(SIZE), 4, **settings)
    photos, labels = exported.photos(2)
    # An untrained head would say nearly 0.25, or 1, whatever went wrong.
    kernel, bias = model.output_dense.get_weights()
    spread = np.std(model.heads(model.preprocess(photos))["logits"])
    model.output_dense.set_weights([kernel / spread, bias])
    path = export_litert(model, tmp_path / "model.tflite", "float32", photos)
    report = parity_report(model, path, (photos, labels))
    assert report["max_difference"] < 1e-4
    assert model.probabilities(photos).std(axis=0).max() > 1e-3
    saved = tf.saved_model.load(str(export_saved_model(model, tmp_path / "s")))
    np.testing.assert_allclose(
        saved.serve(photos), model.probabilities(photos), atol=1e-5
    )


def test_mixed_precision_is_exported_in_float32(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = exported.classifier()
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.backbone.compute_dtype == "bfloat16"
    photos, labels = exported.photos()
    plain = deployable(model)
    assert plain is not model and plain.backbone.compute_dtype == "float32"
    path = export_litert(model, tmp_path / "model.tflite")
    assert parity_report(plain, path, (photos, labels))["moved"] < 1e-5
    # bfloat16 itself is the coarser one.
    assert parity_report(model, path, (photos, labels))["moved"] < 0.05
    assert deployable(exported.trained()) is exported.trained()


def test_model_of_a_strategy(tmp_path):
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        model = MAMCImageClassifier(
            encoder(SIZE), 4, dict(exported.PIXELS), embedding_dim=8
        )
    assert deployable(model) is not model
    photos, labels = exported.photos(2)
    path = export_litert(model, tmp_path / "model.tflite")
    report = parity_report(model, path, (photos, labels))
    assert report["max_difference"] < 1e-5
    saved = tf.saved_model.load(str(export_saved_model(model, tmp_path / "s")))
    np.testing.assert_allclose(
        saved.serve(photos), model.probabilities(photos), atol=1e-5
    )


# === Files that must not exist ===


def test_an_activation_that_is_always_zero_is_explained(tmp_path):
    model = with_head(exported.trained(), lambda w: w)
    reducer = model.osme.reducers[0]
    kernel, bias = reducer.get_weights()
    # The ReLU behind it gives 0 for every photo: a range without width.
    reducer.set_weights([kernel, bias - 1000])
    photos, _ = exported.photos()
    with pytest.raises(ParityError, match="is 0 for all"):
        export_litert(model, tmp_path / "model.tflite", "int8", photos)
    assert not list(tmp_path.iterdir())
    export_litert(model, tmp_path / "model.tflite", "float32", photos)


def with_head(model, change):
    """A copy of a model whose classifier's weights are other ones."""
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    weights = model.output_dense.get_weights()
    copy.output_dense.set_weights([change(w) for w in weights])
    return copy


@pytest.mark.parametrize(
    "variant, change, match",
    [
        ("float32", lambda w: 0.99 * w, "differs from Keras"),
        ("float32", lambda w: w * np.nan, "gives NaN"),
        ("int8", lambda w: -w, "far from Keras"),
        ("int8", lambda w: w / 100, "far from Keras"),
    ],
)
def test_a_file_that_says_something_else_is_not_written(
    variant, change, match, tmp_path, monkeypatch
):
    model = exported.trained()
    photos, _ = exported.photos()
    wrong = with_head(model, change)
    networks = litert.networks
    monkeypatch.setattr(
        litert, "networks", lambda _, *rest: networks(wrong, *rest)
    )
    path = tmp_path / "model.tflite"
    path.write_text("the old file")
    with pytest.raises(ParityError, match=match):
        export_litert(model, path, variant, photos)
    assert path.read_text() == "the old file"
    assert list(tmp_path.iterdir()) == [path]  # No labels.txt, no rest.


def test_finds_operations_that_phones_lack(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 3), tf.float32)])
    def bicubic(image):
        return tf.image.resize(image, (4, 4), "bicubic")

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [bicubic.get_concrete_function()], bicubic
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.SELECT_TF_OPS]
    path = tmp_path / "flex.tflite"
    path.write_bytes(converter.convert())
    assert read_contents(path).unusable()[-1] == "CUSTOM:FlexResizeBicubic"
    with pytest.raises(ValueError, match="FlexResizeBicubic"):
        check_operations(path, "float32")


def test_finds_variables_that_nobody_fills(tmp_path):
    class Counter(tf.Module):
        def __init__(self):
            self.count = tf.Variable(tf.ones(4))

        @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32)])
        def __call__(self, x):
            return x * self.count.assign_add(tf.ones(4))

    module = Counter()
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.__call__.get_concrete_function()], module
    )
    converter.experimental_enable_resource_variables = True
    path = tmp_path / "variable.tflite"
    path.write_bytes(converter.convert())
    assert "VAR_HANDLE" in read_contents(path).unusable()
    with pytest.raises(ValueError, match="VAR_HANDLE"):
        check_operations(path, "float32")


@pytest.mark.parametrize(
    "name, variant, calibration, match",
    [
        ("model.lite", "float32", None, "must end in .tflite"),
        ("a.tflite", "int4", None, "variant='int4'"),
        ("a.tflite", "int8", None, "calibration=None"),
        ("a.tflite", "int8", np.zeros((0, 32, 32, 3), np.uint8), "0 calib"),
        ("a.tflite", "int8", np.zeros((2, 32, 32, 3)), "float64"),
        ("a.tflite", "int8", np.zeros((2, 16, 32, 3), np.uint8), "16"),
    ],
)
def test_wrong_arguments(name, variant, calibration, match, tmp_path):
    with pytest.raises(ValueError, match=match):
        export_litert(exported.trained(), tmp_path / name, variant, calibration)
    assert not list(tmp_path.iterdir())


def test_a_model_of_any_size_has_no_classifier_file(tmp_path):
    model = MAMCImageClassifier(
        encoder(static=False), 4, embedding_dim=8, preprocessor=None
    )
    with pytest.raises(ValueError, match="image_size=None"):
        export_litert(model, tmp_path / "model.tflite")
    with pytest.raises(ValueError, match="image_size=None"):
        export_saved_model(model, tmp_path / "saved")


# === Parity ===


@pytest.fixture(scope="module")
def image_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    photos, labels = exported.photos(10, seed=3)
    paths = []
    for i, photo in enumerate(photos):
        large = Image.fromarray(photo).resize((50, 40))
        large.save(folder / f"{i:02d}.png")
        paths.append(str(folder / f"{i:02d}.png"))
    return ImageSet(paths, labels, exported.NAMES)


def test_report_on_photos_of_a_data_set(float_file, image_set):
    model = exported.trained()
    report = parity_report(model, float_file, image_set)
    assert report["images"] == 40
    assert report["max_difference"] < 1e-5 and report["agreement"] == 1
    assert report["accuracy_keras"] == report["accuracy_tflite"] > 0.5
    assert report["megabytes"] == float_file.stat().st_size / 1e6
    assert parity_report(model, float_file, image_set, 7)["images"] == 7
    assert parity_report(model, float_file, image_set, 99)["images"] == 40
    with pytest.raises(ValueError, match="0 images"):
        parity_report(model, float_file, image_set.take([]))


def test_report_shows_what_differs(float_file):
    model = with_head(exported.trained(), lambda w: -w)
    report = parity_report(model, float_file, exported.photos())
    assert report["agreement"] < 0.9
    assert report["accuracy_keras"] != report["accuracy_tflite"]
    assert 0.2 < report["moved"] <= 1
    assert report["max_difference"] > report["mean_difference"] > 0


# === SavedModel ===


def test_saved_model_takes_photos_of_any_size(saved_model):
    model = exported.trained()
    saved = tf.saved_model.load(str(saved_model))
    rng = np.random.default_rng(0)
    for shape in ((3, 32, 32, 3), (1, 300, 177, 3), (2, 20, 31, 3)):
        photos = rng.integers(0, 256, shape, dtype=np.uint8)
        seen = np.stack([resize_image(p, (SIZE, SIZE), True) for p in photos])
        for found, expected in (
            (saved.serve(photos), model.probabilities(seen)),
            (saved.embed(photos), model.embed(seen)),
            (saved.attend(photos), model.attend(seen)),
        ):
            assert found.dtype == tf.float32
            np.testing.assert_allclose(found, expected, atol=1e-5)
    assert saved.signatures["serve"].structured_input_signature[1].keys() == {
        "image"
    }


def test_saved_model_needs_only_tensorflow(saved_model):
    photos, _ = exported.photos(1)
    script = """
import sys
sys.path.remove("")
import json, numpy as np, tensorflow as tf
photos = np.array(json.load(sys.stdin), np.uint8)
saved = tf.saved_model.load(sys.argv[1])
found = [saved.serve(photos), saved.embed(photos), saved.attend(photos)]
assert "mamc_keras" not in sys.modules and "keras_hub" not in sys.modules
print(json.dumps([x.numpy().tolist() for x in found]))
"""
    result = subprocess.run(
        [sys.executable, "-c", script, str(saved_model)],
        input=json.dumps(photos.tolist()),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    model = exported.trained()
    for found, expected in zip(
        json.loads(result.stdout.splitlines()[-1]),
        (model.probabilities(photos), model.embed(photos)),
        strict=False,
    ):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    labels = saved_model / "assets" / "labels.txt"
    assert labels.read_text(encoding="utf-8").split("\n")[1] == "001.Grün"


def test_saved_model_has_the_shape_that_tensorflow_serving_asks_for(
    saved_model, tmp_path
):
    photos, _ = exported.photos(1)
    np.save(tmp_path / "photos.npy", photos)
    tool = Path(sys.executable).with_name("saved_model_cli")
    result = subprocess.run(
        [
            *(tool, "run", "--dir", saved_model, "--tag_set", "serve"),
            *("--signature_def", "serving_default", "--outdir", tmp_path),
            *("--inputs", f"image={tmp_path / 'photos.npy'}"),
        ],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    (answer,) = set(tmp_path.glob("*.npy")) - {tmp_path / "photos.npy"}
    np.testing.assert_allclose(
        np.load(answer), exported.trained().probabilities(photos), atol=1e-5
    )


def test_saved_model_replaces_a_folder_as_a_whole(tmp_path):
    model = exported.trained()
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "rest.txt").write_text("of an old export")
    export_saved_model(model, folder)
    assert not (folder / "rest.txt").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["saved"]
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ValueError, match="SavedModel is a folder"):
        export_saved_model(model, file)


# === Real photos ===


@pytest.mark.slow
def test_int8_within_a_point_on_real_photos(shared, tmp_path):
    """EfficientNet-Lite0 with a quickly trained head on 15 kinds of birds."""
    from mamc_keras.data.pipeline import plain_dataset

    splits = open_source(shared / "data" / "cub50", validation_fraction=0)
    chosen = {
        name: images.take(np.flatnonzero(images.labels < 15))
        for name, images in splits.items()
    }
    model = MAMCImageClassifier.from_preset(
        "efficientnet_lite0_imagenet",
        class_names=splits["train"].class_names[:15],
        image_size=(224, 224),
        embedding_dim=64,
    )
    photos, labels = zip(
        *plain_dataset(chosen["train"], (224, 224), 64), strict=True
    )
    photos = np.concatenate(photos)
    model.backbone.trainable = False
    head = keras.Sequential([model.osme, model.concat, model.output_dense])
    features = [
        model.backbone(model.preprocess(b)) for b in np.split(photos, 5)
    ]
    head.compile(
        keras.optimizers.Adam(3e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    head.fit(
        np.concatenate(features), np.concatenate(labels), epochs=12, verbose=0
    )
    path = export_litert(model, tmp_path / "m.tflite", "int8", photos[::4])
    report = parity_report(model, path, chosen["test"])
    assert report["accuracy_keras"] > 0.6
    # A point, and the noise of the few photos on which the two differ: the
    # arithmetic of another CPU trains another head.
    noise = np.sqrt((1 - report["agreement"]) / report["images"])
    loss = report["accuracy_keras"] - report["accuracy_tflite"]
    assert loss < 0.01 + 2 * noise
    assert report["agreement"] > 0.9
