"""What a classifier does with its calibration, and where it comes from."""

import dataclasses
import json
import re
import shutil

import keras_hub
import numpy as np
import pytest
from small import batch
from small import encoder
from test_calibration import stored
from test_presets import STORED

from mamc_keras import MAMCImageClassifier
from mamc_keras import run_folder
from mamc_keras.cli import main
from mamc_keras.evaluation import calibration as package
from mamc_keras.evaluation.evaluate import data_of
from mamc_keras.evaluation.evaluate import load_model
from mamc_keras.evaluation.stored_calibration import Calibration

NAMES = ("ant", "bee", "cow", "dog")


@pytest.fixture
def model():
    model = MAMCImageClassifier(
        encoder(),
        4,
        {"scale": 1 / 128, "offset": -1.0, "image_size": (32, 32)},
        num_attentions=2,
        embedding_dim=8,
        class_names=NAMES,
    )
    rng = np.random.default_rng(0)
    prototypes = rng.normal(0, 0.25, (4, 16)).astype(np.float16)
    model.calibration = stored(temperature=1.7, prototypes=prototypes)
    return model


def test_probabilities_are_after_the_temperature(model):
    images, _ = batch()
    logits = model.predict(images, verbose=0)
    expected = np.exp(logits / 1.7)
    expected /= expected.sum(axis=1, keepdims=True)
    found = model.probabilities(images)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    model.calibration = None
    np.testing.assert_array_equal(model.predict(images, verbose=0), logits)
    assert np.abs(model.probabilities(images) - expected).max() > 1e-3


def test_unknown_is_what_scores_under_the_threshold(model):
    images, _ = batch()
    embeddings = model.embed(images)
    units = embeddings / np.linalg.norm(embeddings, axis=2, keepdims=True)
    vectors = units.reshape(len(images), -1) / np.sqrt(2)
    table = model.calibration.prototypes.astype(float)
    cosines = (vectors @ table.T).max(axis=1)
    threshold = float(np.median(cosines))
    model.calibration = dataclasses.replace(
        model.calibration, threshold=threshold
    )
    outputs = model.heads(model.preprocess(images))
    for score in ("prototype", "energy", "max_probability"):
        prototypes = model.calibration.prototypes
        model.calibration = dataclasses.replace(
            model.calibration,
            score=score,
            prototypes=prototypes if score == "prototype" else None,
        )
        np.testing.assert_allclose(
            model.known_score(outputs),
            model.calibration.known_score(
                np.array(outputs["logits"]), np.array(outputs["embeddings"])
            ),
            rtol=1e-5,
        )
        model.calibration = dataclasses.replace(
            model.calibration, score="prototype", prototypes=prototypes
        )
    flags = model.is_unknown(images)
    assert flags.dtype == bool and 0 < flags.sum() < len(images)
    np.testing.assert_array_equal(flags, cosines < threshold)
    model.calibration = None
    with pytest.raises(ValueError, match="calibration=None.*100 or more"):
        model.is_unknown(images)


def test_presets_keep_it_on_every_way(model, tmp_path):
    folder = tmp_path / "preset"
    model.save_to_preset(folder)
    images, _ = batch()
    for loaded in (
        MAMCImageClassifier.from_preset(folder),
        keras_hub.models.ImageClassifier.from_preset(str(folder)),
    ):
        before = model.calibration.settings()
        assert loaded.calibration.settings() == before
        np.testing.assert_allclose(
            loaded.probabilities(images), model.probabilities(images), atol=1e-6
        )
        np.testing.assert_array_equal(
            loaded.is_unknown(images), model.is_unknown(images)
        )
    model.calibration = None
    model.save_to_preset(folder)
    assert MAMCImageClassifier.from_preset(folder).calibration is None
    assert MAMCImageClassifier.from_preset(STORED).calibration is None


def test_other_classes_and_training_drop_it(model, tmp_path):
    folder = tmp_path / "preset"
    model.save_to_preset(folder)
    for other in (
        model.with_classes(class_names=NAMES),
        model.add_classes(["eel"]),
        MAMCImageClassifier.from_preset(folder, class_names=NAMES[:3]),
        keras_hub.models.ImageClassifier.from_preset(
            str(folder), num_classes=6
        ),
    ):
        assert other.calibration is None
    renamed = model.rename_classes({"ant": "emmet"})
    assert renamed.calibration is model.calibration
    images, labels = batch()
    model.compile()
    model.fit(images, labels, epochs=1, verbose=0)
    assert model.calibration is None


def test_damaged_calibration_is_one_sentence(model, tmp_path):
    model.save_to_preset(tmp_path / "preset")
    (tmp_path / "preset/calibration.json").write_text("{")
    with pytest.raises(ValueError, match="calibration of a model is damaged"):
        MAMCImageClassifier.from_preset(tmp_path / "preset")


@pytest.fixture
def calibrated_run(trained_run, tmp_path, monkeypatch):
    """The run as if its training photos were its validation photos too."""
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    monkeypatch.setattr(package, "LEAST_PHOTOS", 20)
    splits = data_of(run)
    splits["val"] = splits["train"]
    model = load_model(run)
    run_folder.finish(run, model, splits, *run_folder.results(run))
    assert model.calibration.images == len(splits["val"])
    return run


def test_a_run_of_few_photos_says_that_nothing_is_stored(trained_run):
    text = (trained_run / "data.txt").read_text()
    assert re.search(r"store no temperature.*fewer than 100", text)
    assert not (trained_run / "preset/calibration.json").exists()


def test_predict_says_perhaps_none_of_these(
    calibrated_run, photo_folder, tmp_path, capsys
):
    photo = str(photo_folder / "red_cup/00.jpg")

    def said(threshold):
        folder = calibrated_run / "preset"
        calibration = Calibration.load(folder)
        dataclasses.replace(calibration, threshold=threshold).save(folder)
        main(["predict", str(calibrated_run), photo])
        return capsys.readouterr().out

    assert "none of these" not in said(-1.0)
    assert "%; perhaps none of these" in said(1.1).replace("\n", " ")


def test_evaluate_says_before_and_after(calibrated_run, tmp_path, capsys):
    out = tmp_path / "out"
    main(["evaluate", str(calibrated_run), "--out", str(out)])
    measures = json.loads((out / "metrics.json").read_text())
    calibration = Calibration.load(calibrated_run / "preset")
    assert measures["temperature"] == calibration.temperature
    table = capsys.readouterr().out
    for name in ("nll", "nll_calibrated", "ece_calibrated", "called_unknown"):
        assert name in measures and name in table
