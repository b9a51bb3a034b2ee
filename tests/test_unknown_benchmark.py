"""What benchmarks/unknown.py measures, on made-up predictions."""

import markdown
import numpy as np
import pytest
import unknown_tables
from results import append_row
from unknown import SCORES
from unknown import evenly
from unknown import left_out
from unknown import main
from unknown import measured
from unknown import of_classes
from unknown import scores_of
from unknown import temperature_row

from mamc_keras.data.sources import ImageSet
from mamc_keras.evaluation.predictions import Predictions
from mamc_keras.evaluation.temperature import fit_temperature

KINDS = ("train", "val", "test", "near_choice", "near", "far")


@pytest.fixture(scope="module")
def found():
    """Known photos near their class, look-alikes between, far ones nowhere."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 2, 6))
    tables = {}
    for kind, spread in zip(KINDS, (0.3, 0.3, 0.3, 1, 1, 9), strict=True):
        labels = np.arange(60) % 4
        embeddings = centres[labels] + rng.normal(0, spread, (60, 2, 6))
        logits = np.einsum("npd,kpd->nk", embeddings, centres)
        tables[kind] = Predictions(
            range(60), labels, logits, embeddings, "abcd"
        )
    return tables


def test_a_third_is_left_out_by_the_seed():
    names = [f"class {i}" for i in range(50)]
    first = left_out(names, 0)
    assert len(first) == 16 and first < set(names)
    assert left_out(names, 0) == first != left_out(names, 1)


def test_photos_of_some_classes_get_the_models_labels():
    images = ImageSet("stuvw", [0, 1, 2, 1, 0], ("ant", "bee", "cow"))
    known = ("cow", "ant")
    chosen = of_classes(images, known, known)
    assert chosen.paths == ("s", "u", "w")
    assert chosen.labels.tolist() == [1, 0, 1]
    assert of_classes(images, {"bee"}, known).paths == ("t", "v")
    assert evenly(images, 3) == ("s", "u", "w")
    assert evenly(images, 99) == images.paths


def test_every_score_is_measured(found, tmp_path, monkeypatch):
    for arm in ("osme_mamc", "plain_softmax"):
        key = {"set": "cups", "arm": arm, "seed": 0}
        for score, values in scores_of(found).items():
            assert "train" not in values
            row = measured(values)
            assert row["val_photos"] == 60
            if score in ("prototype", "mahalanobis"):
                # Logits grow with the length of an embedding; these do not.
                assert float(row["far_auroc"]) > 0.8
            append_row(
                tmp_path / "results/unknown.csv",
                {**key, "score": score, **row},
            )
        append_row(
            tmp_path / "results/calibration.csv",
            {**key, **temperature_row(found)},
        )
    monkeypatch.setattr(markdown, "HERE", tmp_path)
    lines = unknown_tables.unknown().splitlines()
    assert len(lines) == 2 + 2 * len(SCORES)
    assert lines[4].startswith(
        "| cups | plain softmax | nearest prototype | 1 |"
    ) or lines[4].startswith("| cups | OSME")
    assert len(unknown_tables.temperature().splitlines()) == 4


def test_false_alarms_are_known_photos_under_the_threshold(found):
    values = scores_of(found)["prototype"]
    row = measured(values)
    bar = np.sort(values["val"])[2]  # floor(0.05 * 61) = 3rd lowest
    assert float(row["false_alarms"]) == pytest.approx(
        np.mean(values["test"] < bar), abs=1e-4
    )
    assert float(row["far_caught"]) == pytest.approx(
        np.mean(values["far"] < bar), abs=1e-4
    )


def test_temperature_comes_from_validation_photos(found):
    row = temperature_row(found)
    val = found["val"]
    expected = fit_temperature(val.logits, val.labels)
    assert float(row["temperature"]) == pytest.approx(expected, abs=1e-4)
    swapped = temperature_row({**found, "val": found["near"]})
    assert swapped["temperature"] != row["temperature"]
    assert swapped["nll"] == row["nll"]


def test_one_folder_is_not_enough(capsys, tmp_path):
    with pytest.raises(SystemExit):
        main([str(tmp_path)])
    assert "a second folder" in capsys.readouterr().err
