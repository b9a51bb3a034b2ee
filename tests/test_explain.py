"""`mamc evaluate` and `mamc explain` from end to end."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from mamc_keras.cli import main
from mamc_keras.evaluation import explanations
from mamc_keras.evaluation.evaluate import evaluate


@pytest.fixture(scope="module")
def run(trained_run, tmp_path_factory):
    """A copy that these tests may write into."""
    folder = tmp_path_factory.mktemp("explained") / "run"
    shutil.copytree(trained_run, folder)
    return folder


def read_csv(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_evaluate_writes_every_table_and_picture(run, capsys):
    main(["evaluate", str(run)])
    first = capsys.readouterr().out
    out = run / "evaluation-test"
    measures = json.loads((out / "metrics.json").read_text())
    ends = json.loads((out / "intervals.json").read_text())
    for name in ("top1", "macro", "nll", "ece", "brier", "recall@1", "map@r"):
        low, high = ends[name]
        assert low <= high and name in measures
    assert list(measures)[:2] == ["images", "top1"]
    assert {"recall@8", "r_precision"} <= set(measures)
    for name in ("per_class", "reliability"):
        rows = read_csv(out / f"{name}.csv")
        assert sum(int(row["images"]) for row in rows) == 7
    for name in ("confusion.png", "reliability.png"):
        with Image.open(out / name) as picture:
            assert picture.size[0] > 200
    assert "95 % interval" in first and "used again" not in first
    # The second time the network does not run.
    main(["evaluate", str(run)])
    assert "used again" in " ".join(capsys.readouterr().out.split())
    assert json.loads((out / "metrics.json").read_text()) == measures


def test_stored_predictions_need_no_model(run, monkeypatch):
    from mamc_keras.evaluation import evaluate as module

    expected, _ = evaluate(run)

    def fail(*_):
        raise RuntimeError("the model was loaded")

    monkeypatch.setattr(module, "load_model", fail)
    assert evaluate(run)[0] == expected


def test_against_another_preset(run, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(run / "preset", other)
    out = run / "evaluation-test"
    main(["evaluate", str(run), "--against", str(other)])
    printed = " ".join(capsys.readouterr().out.split())
    assert "run minus other: +0.00 points" in printed
    assert "McNemar p = 1)" in printed
    found = json.loads((out / "comparison.json").read_text())
    assert found["images"] == 7 and found["other_answer"] == 0
    assert read_csv(out / "differences.csv") == []
    assert not (out / "differences.png").exists()


def test_slices_of_a_csv(run, photo_folder, tmp_path):
    lines = ["path,camera"]
    for path in sorted(photo_folder.rglob("*.jpg")):
        kind = "phone" if int(path.stem) % 2 else "slr"
        lines.append(f"{path},{kind}")
    (tmp_path / "s.csv").write_text("\n".join(lines))
    _, paths = evaluate(run, slices=tmp_path / "s.csv")
    assert run / "evaluation-test" / "slices.png" in paths
    rows = read_csv(run / "evaluation-test" / "slices.csv")
    own = [row for row in rows if row["slice"] == "camera"]
    assert {row["value"] for row in own} == {"phone", "slr"}
    assert sum(int(row["images"]) for row in own) == 7


def test_explain_a_folder(run, photo_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(explanations, "PAGE", 2)
    photos = tmp_path / "photos"
    (photos / "deep").mkdir(parents=True)
    for i, name in enumerate(("red_cup", "blue_cup", "green_cup")):
        folder = photos / "deep" if i else photos
        shutil.copy(photo_folder / name / "00.jpg", folder / f"{name}.jpg")
    out = tmp_path / "explained"
    main(["explain", str(run), str(photos), "--out", str(out)])
    printed = " ".join(capsys.readouterr().out.split())
    assert "hidden" in printed and "explain.csv" in printed
    files = sorted(p.name for p in out.iterdir())
    assert files == ["explain-001.png", "explain-002.png", "explain.csv"]
    rows = read_csv(out / "explain.csv")
    assert len(rows) == 3
    for row in rows:
        share = float(row["probability"])
        assert 0 <= share - float(row["probability_drop"]) <= 1
        assert float(row["hidden"]) == 0.25  # One of 2 x 2 cells.
        for p in (1, 2):
            assert -1.001 <= float(row[f"branch_{p}_cosine"]) <= 1.001
            name = row[f"branch_{p}_class"]
            assert name in row[f"branch_{p}_nearest"]
    # The training photos were embedded once and are kept in the run.
    assert (run / "evaluation-train" / "embeddings.npz").is_file()
    main(["explain", str(run), str(photos / "red_cup.jpg")] + _out(tmp_path))
    assert "used again" in " ".join(capsys.readouterr().out.split())


def _out(folder):
    return ["--out", str(folder / "one.png")]


@pytest.mark.slow
def test_a_training_photo_is_not_its_own_neighbour(run, tmp_path):
    gallery = explanations.training_photos(run)
    photo = gallery.paths[0]
    (row,), _ = explanations.explain_photos(run, [photo], tmp_path / "a.png")
    assert row["branch_1_nearest"] != photo


@pytest.mark.slow
def test_a_preset_alone_has_no_neighbours(run, photo_folder, tmp_path):
    preset = tmp_path / "alone"
    shutil.copytree(run / "preset", preset)
    photo = photo_folder / "red_cup" / "00.jpg"
    rows, paths = explanations.explain_photos(
        preset, [photo], tmp_path / "a.png"
    )
    assert "branch_1_nearest" not in rows[0] and "margin_drop" in rows[0]
    rows, _ = explanations.explain_photos(
        preset, [photo], tmp_path / "a.png", source=str(photo_folder)
    )
    assert "branch_1_nearest" in rows[0]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"photos": ["empty"]}, "no photo in this folder"),
        ({"photos": ["missing.jpg"]}, "no such photo"),
        ({"photos": ["some"], "out": "a.png"}, "several pictures"),
        ({"photos": ["some"], "neighbours": -1}, "neighbours=-1"),
    ],
)
def test_bad_input(change, message, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "some"):
        (tmp_path / name).mkdir()
    pixels = np.zeros((8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "some" / "a.png")
    with pytest.raises(ValueError, match=f"{message}"):
        explanations.explain_photos(run, **change)
