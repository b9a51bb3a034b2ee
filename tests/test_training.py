import csv
import dataclasses
import json

import keras
import numpy as np
import pytest

from mamc_keras import MAMCImageClassifier
from mamc_keras import Recipe
from mamc_keras import train
from mamc_keras.data.pipeline import load_image
from mamc_keras.models.encoder import batch_norms
from mamc_keras.training import build_model
from mamc_keras.training import compile_model
from mamc_keras.training.best_preset import BestPreset

SMALL = Recipe(image_size=(64, 64), embedding_dim=16, epochs=2)


def test_training_goes_on_from_a_trained_preset(trained_run, caplog):
    names = ["yellow_cup", "red_cup", "blue_cup", "green_cup"]
    recipe = dataclasses.replace(
        SMALL, preset=str(trained_run), dropout=0.5, mamc_weight=0.25
    )
    with caplog.at_level("INFO", logger="mamc_keras"):
        model = build_model(recipe, names)
    assert "4 classes: 3 keep their weights" in caplog.text
    assert model.class_names == tuple(names)
    assert (model.dropout, model.mamc_weight) == (0.5, 0.25)
    before = MAMCImageClassifier.from_preset(trained_run)
    photos = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3))
    np.testing.assert_array_equal(model.embed(photos), before.embed(photos))
    old = [before.class_names.index(name) for name in names[1:]]
    kernels = [m.output_dense.kernel.numpy() for m in (model, before)]
    np.testing.assert_array_equal(kernels[0][:, 1:], kernels[1][:, old])
    other = dataclasses.replace(recipe, embedding_dim=32)
    with pytest.raises(ValueError, match="embedding_dim=16 instead of 32"):
        build_model(other, names)
    other = dataclasses.replace(recipe, image_size=(96, 96))
    with pytest.raises(ValueError, match=r"for \(64, 64\)"):
        build_model(other, names)


def test_run_folder_explains_itself(trained_run):
    names = {path.name for path in trained_run.iterdir()}
    assert names >= {
        "recipe.json",
        "environment.json",
        "data.txt",
        "history.csv",
        "metrics.json",
        "learning_curves.png",
        "attention.png",
        "confusion.png",
        "preset",
    }
    assert not [n for n in names if n.startswith(".")]
    text = (trained_run / "data.txt").read_text()
    assert "steps an epoch, 3 epochs" in text and "3 classes" in text
    with (trained_run / "history.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 3
    assert {"loss", "sasc", "sadc", "dasc", "val_accuracy"} <= set(rows[0])
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    environment = json.loads((trained_run / "environment.json").read_text())
    assert environment["keras"] == keras.__version__


def test_fast_mode_assembles_the_whole_classifier(trained_run):
    """The cached upper half and the saved whole give the same accuracy."""
    from mamc_keras.evaluation.evaluate import data_of

    model = MAMCImageClassifier.from_preset(trained_run / "preset")
    val = data_of(trained_run)["val"]
    photos = np.stack([load_image(p, (64, 64)) for p in val.paths])
    logits = model.predict(photos, verbose=0)
    metrics = json.loads((trained_run / "metrics.json").read_text())
    accuracy = np.mean(logits.argmax(1) == val.labels)
    assert accuracy == pytest.approx(metrics["val_accuracy"], abs=1e-6)
    loss = keras.losses.sparse_categorical_crossentropy(
        val.labels, logits, from_logits=True
    )
    # The cache holds float16, hence the tolerance.
    assert np.mean(loss) == pytest.approx(metrics["val_loss"], abs=5e-3)
    assert accuracy > 0.8  # Three colours.


def test_full_training_moves_every_stage(photo_folder, tmp_path):
    recipe = dataclasses.replace(
        SMALL, source=str(photo_folder), fast=False, epochs=1
    )
    start = build_model(recipe, ("a", "b", "c")).backbone.get_weights()
    run = train(recipe, tmp_path / "run")
    assert run.metrics["epoch"] == 1
    end = run.model.backbone.get_weights()
    changed = [np.abs(a - b).max() > 0 for a, b in zip(start, end, strict=True)]
    assert changed[0]  # The stem, which fast mode freezes.
    assert set(run.history) >= {"loss", "accuracy", "val_loss"}


@pytest.mark.parametrize(
    "dtype",
    # bfloat16 is several times slower than float32 on a CPU.
    ["mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)],
)
def test_half_precision_trains_and_leaves_no_trace(
    dtype, photo_folder, tmp_path
):
    recipe = dataclasses.replace(
        SMALL, source=str(photo_folder), dtype=dtype, cached_views=1, epochs=2
    )
    run = train(recipe, tmp_path / "run")
    assert run.model.osme.compute_dtype == dtype.removeprefix("mixed_")
    assert run.history["loss"][-1] < run.history["loss"][0]
    assert keras.config.dtype_policy().name == "float32"
    loaded = MAMCImageClassifier.from_preset(tmp_path / "run/preset")
    assert loaded.osme.compute_dtype == "float32"


def test_fast_mode_freezes_the_lower_stages(photo_folder, trained_run):
    recipe = Recipe.from_json((trained_run / "recipe.json").read_text())
    start = build_model(recipe, ("a", "b", "c")).backbone.get_weights()
    trained = MAMCImageClassifier.from_preset(trained_run / "preset")
    end = trained.backbone.get_weights()
    assert np.array_equal(start[0], end[0])
    assert not np.array_equal(start[-5], end[-5])


def test_batch_norm_statistics_are_kept(trained_run):
    recipe = Recipe.from_json((trained_run / "recipe.json").read_text())
    model = build_model(recipe, ("a", "b", "c"))
    trained = MAMCImageClassifier.from_preset(trained_run / "preset")
    pairs = zip(
        batch_norms(model.backbone), batch_norms(trained.backbone), strict=True
    )
    for before, after in pairs:
        np.testing.assert_array_equal(before.moving_mean, after.moving_mean)


def test_two_rates_of_which_the_backbone_warms_up():
    recipe = dataclasses.replace(SMALL, epochs=4, warmup_epochs=1.0)
    model = build_model(recipe, ("a", "b", "c"))
    compile_model(model, recipe, 10, [4, 4, 4])
    choose = model.optimizer._optimizer_map
    schedules = {True: set(), False: set()}
    for variable in model.trainable_variables:
        head = "osme" in variable.path or "predictions" in variable.path
        schedules[head].add(choose(variable)._learning_rate)
    (fast,), (slow,) = schedules[True], schedules[False]
    assert float(fast(0)) == pytest.approx(1e-3)
    assert float(slow(0)) == 0
    assert float(slow(5)) == pytest.approx(1.5e-4)
    assert float(slow(10)) == pytest.approx(3e-4)
    assert float(slow(40)) == pytest.approx(0, abs=1e-9)
    assert float(fast(40)) == pytest.approx(0, abs=1e-9)


def test_a_run_is_never_written_over_another(photo_folder, trained_run):
    recipe = dataclasses.replace(SMALL, source=str(photo_folder))
    before = sorted(p.name for p in trained_run.iterdir())
    with pytest.raises(ValueError, match="never written over"):
        train(recipe, trained_run)
    assert before == sorted(p.name for p in trained_run.iterdir())


def test_unusable_data_leaves_no_folder(tmp_path):
    (tmp_path / "photos" / "only_class").mkdir(parents=True)
    recipe = dataclasses.replace(SMALL, source=str(tmp_path / "photos"))
    with pytest.raises(ValueError):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


class Classifier:
    """Stands in for the classifier: remembers what was saved."""

    def __init__(self):
        self.saved = []

    def save_to_preset(self, path):
        self.saved.append(path)
        path.mkdir()


@pytest.mark.parametrize(
    ("logs", "saved"),
    [
        # Highest accuracy, then lowest loss.
        ([(0.5, 1.0), (0.6, 2.0), (0.6, 1.5), (0.6, 1.6), (0.4, 0.1)], 3),
        # Without validation only the last epoch counts.
        ([None, None, None], 1),
    ],
)
def test_best_preset_rule(logs, saved, tmp_path):
    model = Classifier()
    best = BestPreset(model, model, tmp_path / "preset", len(logs))
    for epoch, values in enumerate(logs):
        entry = {"loss": 1.0}
        if values:
            entry |= {"val_accuracy": values[0], "val_loss": values[1]}
        best.on_epoch_end(epoch, entry)
    assert len(model.saved) == saved
    assert best.metrics["epoch"] == 3
    again = BestPreset(model, model, tmp_path / "preset", len(logs))
    assert again.metrics == best.metrics
