"""What happens to classes of 1, 2 and 5 photos, from folder to classifier."""

import dataclasses
import shutil

import numpy as np
import pytest

from mamc_keras import Recipe
from mamc_keras import train
from mamc_keras.data.n_pairs import NPairPlan
from mamc_keras.data.sources import open_source
from mamc_keras.evaluation.evaluate import evaluate

SIZES = {"blue_cup": 12, "green_cup": 5, "red_cup": 2, "white_cup": 1}


@pytest.fixture(scope="module")
def uneven(photo_folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("uneven")
    for name, count in SIZES.items():
        (root / name).mkdir()
        source = photo_folder / name
        if not source.is_dir():
            source = photo_folder / "blue_cup"
        for i in range(count):
            # One photo once, so that no class holds another's photo.
            number = 11 - i if name == "white_cup" else i
            shutil.copy(source / f"{number:02d}.jpg", root / name)
    (root / "blue_cup/11.jpg").unlink()
    return root


def test_small_classes_stay_in_training(uneven):
    splits = open_source(uneven, 0.2, 0.3)
    counts = {k: v.class_counts().tolist() for k, v in splits.items()}
    total = np.sum(list(counts.values()), axis=0)
    assert total.tolist() == [11, 5, 2, 1]
    assert counts["train"][2:] == [2, 1]
    assert counts["val"][2:] == counts["test"][2:] == [0, 0]
    assert min(counts["train"]) >= 1 and counts["train"][1] >= 2


def test_every_photo_comes_up_and_only_the_lone_one_is_its_own_partner(uneven):
    labels = open_source(uneven, 0.0, 0.0)["train"].labels
    plan = NPairPlan(labels, 4, 2)
    shown = plan.batches(0)
    assert set(shown.ravel()) == set(range(len(labels)))
    alone = []
    for pair in shown.reshape(-1, 2):
        if pair[0] == pair[1]:
            alone.append(labels[pair[0]])
    assert set(alone) == {3}
    assert any("fewer than 2" in rule for rule in plan.rules)


@pytest.mark.slow
def test_uneven_classes_train_and_are_measured(uneven, tmp_path):
    """The weights reach both losses, the adjustment the cross-entropy."""
    base = Recipe(
        source=str(uneven),
        image_size=(64, 64),
        embedding_dim=8,
        epochs=1,
        validation_fraction=0.0,
        dropout=0.0,
    )
    losses = {}
    for name, options in {
        "default": {},
        "weights": {"class_weights": "balanced"},
        "adjustment": {"logit_adjustment": 1.0},
    }.items():
        run = train(dataclasses.replace(base, **options), tmp_path / name)
        losses[name] = {k: run.history[k][0] for k in ("loss", "sasc")}
        assert np.isfinite(list(losses[name].values())).all()
    assert losses["weights"]["sasc"] != losses["default"]["sasc"]
    assert losses["adjustment"]["loss"] != losses["default"]["loss"]
    text = (run.path / "data.txt").read_text()
    assert "One image is too few" in text and "fewer than 2" in text
    measures, _ = evaluate(run.path)
    assert 0 <= measures["macro"] <= 1


def test_a_negative_adjustment_is_refused():
    with pytest.raises(ValueError, match="logit_adjustment=-1"):
        Recipe(logit_adjustment=-1)
