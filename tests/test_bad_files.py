"""A list of photos that a person does not want is honoured everywhere."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from mamc_keras.cli import main
from mamc_keras.data.checking.bad_files import NAME
from mamc_keras.data.checking.bad_files import add_bad_files
from mamc_keras.data.checking.bad_files import leave_out
from mamc_keras.data.checking.bad_files import relative
from mamc_keras.data.checking.bad_files import source_folder
from mamc_keras.data.checks import Problem
from mamc_keras.data.checks import check_source
from mamc_keras.data.sources import open_source
from mamc_keras.evaluation.evaluate import data_of
from mamc_keras.recipe import Recipe
from mamc_keras.training import prepare_data


@pytest.fixture
def photos(tmp_path):
    """Two classes of six photos, in a folder without splits."""
    root = tmp_path / "photos"
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for i in range(6):
            pixels = rng.integers(0, 256, (40, 50, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.jpg")
    return root


def left(splits, folder):
    """Paths of all splits from the folder."""
    return {
        os.path.relpath(path, folder)
        for images in splits.values()
        for path in images.paths
    }


def test_lines_remarks_spaces_and_paths(photos):
    (photos / "cat" / "#1 a.jpg").write_bytes(b"x")
    (photos / "cat" / " odd .jpg").write_bytes(b"x")
    (photos / " bird").mkdir()
    for i in range(2):
        (photos / " bird" / f"{i}.jpg").write_bytes(b"x")
    (photos / NAME).write_bytes(
        b"\xef\xbb\xbf# a remark\r\n"
        b"\r\n"
        b"cat/0.jpg\r\n"
        b"  cat/1.jpg  \n"
        b"./cat/2.jpg # blurred\n"
        b"dog/../cat/#1 a.jpg\n"
        b"cat/ odd .jpg\n" + str(photos / "dog" / "3.jpg").encode() + b"\n"
        b"cat/0.jpg\n"
        b"cat/9.jpg\n"
        b"dog\n"
        b"../photos/dog/4.jpg\n"
        b" bird/1.jpg"
    )
    splits, problems = leave_out(open_source(photos), photos)
    assert left(splits, photos) == {
        *(f"cat/{i}.jpg" for i in (3, 4, 5)),
        *(f"dog/{i}.jpg" for i in (0, 1, 2, 5)),
        " bird/0.jpg",
    }
    assert [p.kind for p in problems].count("excluded") == 8
    [unknown] = [p for p in problems if p.kind == "not found"]
    assert unknown.message == (
        f"'{photos / NAME}' names what is no photo of this source: "
        "'cat/9.jpg' (line 10), 'dog' (line 11). Correct or remove these "
        "lines."
    )
    assert unknown.serious


def test_photos_stay_in_their_splits(photos):
    before = open_source(photos, 0.2, 0.3)
    (photos / NAME).write_text("cat/0.jpg\ndog/5.jpg\n")
    after, _ = leave_out(open_source(photos, 0.2, 0.3), photos)
    for name, images in before.items():
        kept = [p for p in images.paths if p[-9:] not in ("cat/0.jpg",)]
        kept = [p for p in kept if p[-9:] != "dog/5.jpg"]
        assert list(after[name].paths) == kept
        assert len(after[name].labels) == len(kept)


@pytest.mark.parametrize(
    "how", ["folder", "link", "lists behind a link", "csv", "relative"]
)
def test_every_kind_of_source(photos, tmp_path, monkeypatch, how):
    folder, source = photos, photos
    if "lists" in how:
        rows = [f"{c}/{i}.jpg {c}" for c in ("cat", "dog") for i in "0123"]
        (photos / "train.txt").write_text("\n".join(rows) + "\n")
    if "link" in how:
        source = folder = tmp_path / "link"
        source.symlink_to(photos)
    if how == "csv":
        (tmp_path / "lists").mkdir()
        rows = [
            f"photos/{c}/{i}.jpg,{c}" for c in ("cat", "dog") for i in "0123"
        ]
        source = tmp_path / "lists" / "all.csv"
        source.write_text("path,label\n" + "\n".join(rows) + "\n")
        folder = source.parent
    if how == "relative":
        monkeypatch.chdir(tmp_path)
        source = "photos"
    splits = open_source(source, 0, 0)
    where = source_folder(source, splits)
    name = relative(splits["train"].paths[1], where)
    assert name == ("../photos/cat/1.jpg" if how == "csv" else "cat/1.jpg")
    (folder / NAME).write_text(name + "\n")
    kept, problems = leave_out(splits, source)
    assert len(kept["train"]) == len(splits["train"]) - 1
    assert [p.path for p in problems] == [splits["train"].paths[1]]


def test_a_source_that_is_no_path(photos):
    splits = open_source(photos, 0, 0)
    assert str(source_folder("tfds:something", splits)) == str(photos)


def test_a_named_list_takes_the_place_of_the_own_one(photos, tmp_path):
    (photos / NAME).write_text("cat/0.jpg\n")
    other = tmp_path / "mine.txt"
    other.write_text("dog/1.jpg\n")
    report = check_source(open_source(photos, 0, 0), None, photos, other)
    [problem] = report.all_problems
    assert problem.kind == "excluded" and problem.path.endswith("dog/1.jpg")
    assert not problem.serious
    with pytest.raises(ValueError, match="no such list.*gone.txt"):
        check_source(open_source(photos), None, photos, tmp_path / "gone.txt")
    # Without a source nobody knows where a list could be.
    assert not check_source(open_source(photos, 0, 0)).all_problems


def test_what_is_left_out_is_not_even_read(photos):
    (photos / "cat" / "bad.jpg").write_bytes(b"x")
    (photos / NAME).write_text("cat/bad.jpg\n")
    report = check_source(open_source(photos, 0, 0), None, photos)
    assert [p.kind for p in report.all_problems] == ["excluded"]
    assert report.splits["train"].num_images == 12
    assert (
        "Named in a list of bad files (left out), 1 file"
        in (report.lines()[-1])
    )


def test_training_and_evaluation_honour_it(photos, tmp_path):
    (photos / NAME).write_text("cat/0.jpg\n")
    everything = {f"{c}/{i}.jpg" for c in ("cat", "dog") for i in range(6)}
    splits, notes = prepare_data(Recipe(source=str(photos)))
    assert left(splits, photos) == everything - {"cat/0.jpg"}
    assert any("Named in a list of bad files" in note for note in notes)
    assert left(data_of(tmp_path, str(photos)), photos) == (
        everything - {"cat/0.jpg"}
    )
    other = tmp_path / "mine.txt"
    other.write_text("dog/1.jpg\n")
    recipe = Recipe(source=str(photos), exclude=str(other))
    splits, _ = prepare_data(recipe)
    assert left(splits, photos) == everything - {"dog/1.jpg"}
    assert Recipe.from_json(recipe.to_json()).exclude == str(other)


def test_the_command_trains_without_them(photos, tmp_path, monkeypatch):
    seen = {}

    def train(recipe, run_dir, progress, resume):
        seen["splits"], _ = prepare_data(recipe, progress)
        raise ValueError("enough")

    monkeypatch.setattr("mamc_keras.training.train", train)
    (tmp_path / "mine.txt").write_text("dog/1.jpg\n")
    exclude = ("--exclude", str(tmp_path / "mine.txt"))
    with pytest.raises(SystemExit):
        main(["train", str(photos), *exclude])
    assert "dog/1.jpg" not in left(seen["splits"], photos)
    assert len(left(seen["splits"], photos)) == 11


def test_a_written_list_is_read_again(photos, tmp_path):
    odd = os.fsdecode(
        "dog/#caf\u00e9 \udcff.jpg".encode("utf-8", "surrogateescape")
    )
    for name in ("cat/#1.jpg", odd):
        (photos / name).write_bytes(b"x")
    (photos / "#2").mkdir()
    for i in range(4):
        (photos / "#2" / f"{i}.jpg").write_bytes(b"")
    splits = open_source(photos, 0, 0)
    report = check_source(splits, None, photos)
    add_bad_files(photos / NAME, report.all_problems, photos)
    text = (photos / NAME).read_bytes()
    assert text.count(b"\n# Empty\n./#2/0.jpg\n") == 1
    assert text.count(b"\n# Not an image\n") == 1
    kept, problems = leave_out(splits, photos)
    assert {p.kind for p in problems} == {"excluded"} and len(problems) == 6
    assert left(kept, photos) == left(report.clean, photos)


def test_what_a_person_wrote_stays(photos):
    file = photos / NAME
    file.write_text("# blurred\ncat/0.jpg\n")
    (photos / "cat" / "bad.jpg").write_bytes(b"x")
    for _ in range(2):  # The second time there is nothing to add.
        report = check_source(open_source(photos), None, photos)
        add_bad_files(file, report.all_problems, photos)
        assert file.read_text() == (
            "# blurred\ncat/0.jpg\n\n# Not an image\ncat/bad.jpg\n"
        )
    # What is only reported is no bad file.
    add_bad_files(
        file, [Problem(str(photos / "dog/1.jpg"), "leak", "")], photos
    )
    assert "dog/1.jpg" not in file.read_text()


def test_check_then_copy_the_list_then_all_is_well(photos, tmp_path):
    (photos / "cat" / "bad.jpg").write_bytes(b"x")
    out = tmp_path / "out"
    command = ["check", str(photos), "--out", str(out)]
    with pytest.raises(SystemExit) as error:
        main(command)
    assert error.value.code == 1
    (photos / NAME).write_bytes((out / NAME).read_bytes())
    main(command)
    counts = json.loads((out / "check.json").read_text())["counts"]
    # The validation photo of such a small set is a note.
    assert counts == {"excluded": 1, "absent class": 1}
