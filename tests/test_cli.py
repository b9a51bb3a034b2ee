import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mamc_keras.cli import main

ROOT = Path(__file__).parents[1]


def fails(capsys, *arguments):
    """Runs a command that must end with code 2 and one sentence."""
    with pytest.raises(SystemExit) as error:
        main([str(a) for a in arguments])
    assert error.value.code == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    return message


@pytest.mark.parametrize(
    "command",
    [
        *("check", "split", "shard", "train", "evaluate", "predict"),
        *("explain", "export", "classes", "push"),
        *("teach", "index", "search", "report"),
    ],
)
def test_help_starts_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as error:
        main([command, "--help"])
    assert error.value.code == 0
    assert f"Example: mamc {command}" in capsys.readouterr().out


def test_installed_command_and_cheap_import():
    code = (
        "import sys, mamc_keras; heavy = {'tensorflow', 'keras', 'matplotlib'}"
        " & set(sys.modules); assert not heavy, heavy;"
        " assert mamc_keras.OSME and mamc_keras.train and mamc_keras.Recipe"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "mamc_keras", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "explain" in done.stdout


def test_check_names_bad_files(photo_folder, tmp_path, capsys):
    for i, colour in enumerate(("red", "blue")):
        (tmp_path / colour).mkdir()
        for j in range(4):
            image = Image.new("RGB", (40 + i, 30 + j), colour)
            image.save(tmp_path / colour / f"{j}.jpg")
    (tmp_path / "red" / "empty.jpg").write_bytes(b"")
    with pytest.raises(SystemExit) as error:
        main(["check", str(tmp_path), "--out", str(tmp_path.parent / "out")])
    assert error.value.code == 1
    out = capsys.readouterr().out
    assert "empty.jpg" in out and "8 can be used" not in out.split("train")[0]


def test_evaluate_writes_what_it_says(trained_run, capsys, tmp_path):
    main(["evaluate", str(trained_run), "--out", str(tmp_path / "out")])
    out = capsys.readouterr().out
    assert "recall@1" in out and "metrics.json" in out
    measures = json.loads((tmp_path / "out/metrics.json").read_text())
    with (tmp_path / "out/predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    right = np.mean([r["label"] == r["predicted"] for r in rows])
    assert right == pytest.approx(measures["top1"])
    assert len(rows) == measures["images"] == 7
    assert (tmp_path / "out/confusion.png").stat().st_size > 1000


def test_evaluate_on_other_photos_matches_classes_by_name(
    trained_run, photo_folder, tmp_path, capsys
):
    import shutil

    other = tmp_path / "other"
    for split in ("train", "test"):
        for name in ("green_cup", "red_cup"):  # One class fewer.
            shutil.copytree(photo_folder / name, other / split / name)
    main(
        ["evaluate", str(trained_run), str(other), "--out", str(tmp_path / "o")]
    )
    measures = json.loads((tmp_path / "o/metrics.json").read_text())
    assert measures["images"] == 24 and measures["top1"] > 0.8
    (other / "test/red_cup").rename(other / "test/cat")
    (other / "train/red_cup").rename(other / "train/cat")
    message = fails(capsys, "evaluate", trained_run, other)
    assert "does not know" in message and "cat" in message


def test_predict_and_explain(trained_run, photo_folder, tmp_path, capsys):
    photo = photo_folder / "red_cup" / "00.jpg"
    main(["predict", str(trained_run), str(photo), "--top", "2"])
    line = capsys.readouterr().out.strip().splitlines()[-1]
    assert str(photo) in line and "red_cup" in line and line.count("%") == 2
    out = tmp_path / "map.png"
    main(["explain", str(trained_run), str(photo), "--out", str(out)])
    with Image.open(out) as picture:
        assert picture.size[0] > 200
    assert f"wrote {out}" in capsys.readouterr().out


@pytest.mark.slow
def test_export_then_predict_by_the_file(
    trained_run, photo_folder, tmp_path, capsys
):
    out = tmp_path / "export"
    main(["export", str(trained_run), "--out", str(out)])
    text = capsys.readouterr().out
    for name in ("saved_model", "model.tflite", "model_int8.tflite"):
        assert (out / name).exists() and f"wrote {out / name}" in text
    assert (out / "labels.txt").read_text().split() == [
        "blue_cup",
        "green_cup",
        "red_cup",
    ]
    parity = json.loads((out / "parity.json").read_text())
    assert parity["model.tflite"]["max_difference"] < 1e-4
    assert parity["model_int8.tflite"]["agreement"] > 0.8
    for report in parity.values():
        assert 0 <= report["accuracy_validation"] <= 1
    (best,) = (name for name in parity if parity[name]["recommended"])
    assert f"Recommended: {best}" in " ".join(text.split())
    photo = str(photo_folder / "blue_cup" / "03.jpg")
    for name in ("model.tflite", "model_int8.tflite"):
        main(["predict", str(out / name), photo])
        assert "blue_cup" in capsys.readouterr().out.split(":", 1)[1]


def test_bad_input_is_one_sentence_and_code_2(
    trained_run, photo_folder, tmp_path, capsys
):
    photo = photo_folder / "red_cup" / "00.jpg"
    assert "does not exist" in fails(capsys, "check", tmp_path / "none")
    (tmp_path / "empty").mkdir()
    message = fails(capsys, "train", tmp_path / "empty")
    assert "class folders" in message and not Path("runs/empty").exists()
    assert "no trained preset" in fails(capsys, "evaluate", tmp_path / "empty")
    assert "no such photo" in fails(capsys, "predict", trained_run, "x.jpg")
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"\xff\xd8 not really")
    assert str(bad) in fails(capsys, "predict", trained_run, photo, bad)
    assert str(bad) in fails(capsys, "explain", trained_run, bad)
    not_lite = tmp_path / "x.tflite"
    not_lite.write_bytes(b"nothing")
    assert "x.tflite" in fails(capsys, "predict", not_lite, photo)
    message = fails(
        capsys, "train", photo_folder, "--preset", "efficientnet_lite9"
    )
    assert "efficientnet_lite0_imagenet" in message
    assert "no recipe file" in fails(capsys, "train", tmp_path / "r.py")
    message = fails(
        capsys, "export", trained_run / "preset", "--source", tmp_path / "none"
    )
    assert "does not exist" in message


def test_typo_in_an_option_is_helped(photo_folder, capsys):
    message = fails(capsys, "train", photo_folder, "--epoch", "1")
    assert "--epochs" in message


@pytest.mark.slow
def test_quickstart_runs(photo_folder, tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "recipes/quickstart.py")),
            *(str(photo_folder), str(tmp_path / "preset")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "preset/labels.txt").exists()
