"""`mamc split` from photos to lists that are a source like any other."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from mamc_keras.cli import main
from mamc_keras.data.checks import check_source
from mamc_keras.data.sources import open_source
from mamc_keras.data.splitting.split_source import split_source
from mamc_keras.data.splitting.write_split import write_split

SPLITS = ("train", "val", "test")


def fails(capsys, *arguments):
    """Runs `mamc split`, which must end with code 2 and one sentence."""
    with pytest.raises(SystemExit) as error:
        main(["split", *map(str, arguments)])
    assert error.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("mamc: ") and "Traceback" not in message
    return message


def rows_of(out):
    """dict of split to rows of its list."""
    rows = {}
    for split in SPLITS:
        with (out / f"{split}.csv").open(newline="") as stream:
            rows[split] = list(csv.DictReader(stream))
    return rows


def test_the_command_writes_a_source(photo_folder, tmp_path, capsys):
    photos, out = tmp_path / "photos", tmp_path / "lists"
    shutil.copytree(photo_folder, photos)
    out.mkdir()  # Empty: taken.
    main(["split", str(photos), str(out), "--seed", "3"])
    text = capsys.readouterr().out
    assert "wrote" in text and "same contents" in text and "train.csv" in text
    # Nothing belongs together here, so it is what training would have done.
    wanted = open_source(photos, seed=3)
    splits = open_source(out)
    for name in SPLITS:
        assert splits[name].class_names == wanted[name].class_names
        assert [p.split("photos/")[1] for p in splits[name].paths] == [
            p.split("photos/")[1] for p in wanted[name].paths
        ]
    details = json.loads((out / "split.json").read_text())
    assert details["seed"] == 3 and details["test_fraction"] == 0.2
    assert details["photos"] == {k: len(wanted[k]) for k in SPLITS}
    assert details["groups"]["same contents"] == {"groups": 0, "photos": 0}
    # Both folders moved together are as good as before.
    (tmp_path / "moved").mkdir()
    photos.rename(tmp_path / "moved" / "photos")
    out.rename(tmp_path / "moved" / "lists")
    moved = open_source(tmp_path / "moved" / "lists")
    assert [len(moved[k]) for k in SPLITS] == [len(wanted[k]) for k in SPLITS]
    assert "moved" in moved["test"].paths[0]


def test_photos_elsewhere_have_absolute_paths(photo_folder, tmp_path):
    out = tmp_path / "a" / "lists"
    split_source(photo_folder, out)
    out.rename(tmp_path / "lists")
    splits = open_source(tmp_path / "lists")
    assert sum(len(images) for images in splits.values()) == 36
    row = rows_of(tmp_path / "lists")["train"][0]
    assert row["path"].startswith(str(photo_folder))


def test_the_same_seed_gives_the_same_lists(photo_folder, tmp_path):
    names = ("a", "b", "c")
    for name, seed in zip(names, (0, 0, 1), strict=True):
        split_source(photo_folder, tmp_path / name, seed=seed)
    first, second, other = (
        [(tmp_path / name / f"{k}.csv").read_bytes() for k in SPLITS]
        for name in names
    )
    assert first == second and first != other


def test_no_validation_photos_stay_none(photo_folder, tmp_path):
    split_source(photo_folder, tmp_path / "lists", validation_fraction=0)
    splits = open_source(tmp_path / "lists", validation_fraction=0.3)
    sizes = [len(splits[name]) for name in SPLITS]
    assert sizes == [29, 0, 7]


def test_planted_near_copies_do_not_leak(shared, tmp_path):
    """Real photos; every third has a twin that was resized or saved again."""
    photos = tmp_path / "photos"
    classes = sorted((shared / "data" / "cub50" / "train").iterdir())[:4]
    planted = 0
    for folder in classes:
        (photos / folder.name).mkdir(parents=True)
        for i, file in enumerate(sorted(folder.iterdir())[:15]):
            copy = photos / folder.name / file.name
            shutil.copy(file, copy)
            if i % 3:
                continue
            planted += 1
            twin = copy.with_name(f"z{i}.jpg")
            with Image.open(file) as image:
                if i % 2:
                    image.save(twin, quality=40)
                else:
                    small = (image.width * 2 // 3, image.height * 2 // 3)
                    image.resize(small).save(twin)
    shutil.copy(file, photos / classes[0].name / "another_class.jpg")
    before, after = open_source(photos), tmp_path / "lists"
    report = split_source(photos, after)
    assert report.reasons["look the same"] == (planted, 2 * planted)
    assert report.reasons["same contents"] == (1, 2)
    assert "40 of 81 photos look like another one" in report.notes[-1]
    after = open_source(after)
    assert len(after["val"]) and len(after["test"])

    def leaks(splits):
        # Class by class: twins of so many photos at once are one finding.
        for label in range(len(classes)):
            part = {
                name: images.take(images.labels == label)
                for name, images in splits.items()
            }
            yield from check_source(part).problems
        yield from check_source(splits).problems

    kinds = [{p.kind for p in leaks(splits)} for splits in (before, after)]
    assert "near leak" in kinds[0]
    assert not kinds[1] & {"leak", "near leak"}


def test_groups_by_name_and_by_column(photo_folder, tmp_path, capsys):
    out, again = tmp_path / "lists", tmp_path / "again"
    main(["split", str(photo_folder), str(out), "--group-by", "(.)\\.jpg$"])
    assert "name of file" in capsys.readouterr().out

    def check(out):
        where = {}
        for name, rows in rows_of(out).items():
            for row in rows:
                where.setdefault(row["path"][-5], set()).add(name)
        assert len(where) == 10
        assert all(len(splits) == 1 for splits in where.values())

    check(out)
    # The lists say which photos belong together, and are believed.
    message = fails(capsys, out, again)
    assert "has splits already" in message and "--again" in message
    main(["split", str(out), str(again), "--again", "--seed", "5"])
    assert "column group" in capsys.readouterr().out
    check(again)
    assert rows_of(out) != rows_of(again)


def small_folder(folder, names=("a", "b"), count=4):
    for k, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = np.random.default_rng(10 * k + i).integers(0, 256, (9, 9))
            image = Image.fromarray(pixels.astype(np.uint8)).resize((64, 64))
            image.save(folder / name / f"{i}.png")
    return folder


def test_files_that_cannot_be_used_are_in_no_list(tmp_path, capsys):
    photos = small_folder(tmp_path / "photos")
    (photos / "a" / "bad.jpg").write_bytes(b"no photo")
    (photos / "bad_files.txt").write_text("b/3.png\nb/none.png\n")
    main(["split", str(photos), str(tmp_path / "lists")])
    text = capsys.readouterr().out
    assert "1 files cannot be used" in text and "b/none.png" in text
    rows = rows_of(tmp_path / "lists")
    found = {row["path"] for split in SPLITS for row in rows[split]}
    assert found == {
        f"../photos/{name}/{i}.png"
        for name in "ab"
        for i in range(4)
        if (name, i) != ("b", 3)
    }
    details = json.loads((tmp_path / "lists" / "split.json").read_text())
    assert [path[-9:] for path in details["left_out"]] == ["a/bad.jpg"]
    assert "no photo of" in text  # Seven photos cannot cover three splits.


@pytest.mark.parametrize("name", ['a, "b"', "möwe", "x;y 'z'", "-1", "#a"])
def test_odd_names(tmp_path, name):
    photos = small_folder(tmp_path / "photos", (name, "other"))
    (photos / name / "0.png").rename(photos / name / f"{name} 0.png")
    split_source(photos, tmp_path / "lists")
    splits = open_source(tmp_path / "lists")
    assert name in splits["train"].class_names
    paths = {p for images in splits.values() for p in images.paths}
    assert len(paths) == 8 and str(
        tmp_path / "lists" / ".." / "photos" / name / f"{name} 0.png"
    ) in {str(path) for path in paths}


@pytest.mark.parametrize("name", ["a ", "a\nb", "a\u2028b", "a\udcff"])
def test_names_that_no_list_can_hold(tmp_path, name, capsys):
    photos = small_folder(tmp_path / "photos", (name, "other"))
    message = fails(capsys, photos, tmp_path / "lists")
    assert "cannot stand in a list" in message
    assert not (tmp_path / "lists").exists()


def test_bad_input_is_one_sentence_and_code_2(tmp_path, capsys):
    photos, out = small_folder(tmp_path / "photos"), tmp_path / "lists"
    bad = {
        ("--test-fraction", "1"): "test_fraction",
        ("--validation-fraction", "-0.1"): "validation_fraction",
        ("--group-by", "(a"): "regular expression",
        ("--group-by", "a"): "one pair of parentheses",
        ("--group-by", "(cat)"): "fits no name",
    }
    for options, words in bad.items():
        assert words in fails(capsys, photos, out, *options)
    (tmp_path / "empty").mkdir()
    assert "class folders" in fails(capsys, tmp_path / "empty", out)
    assert "does not exist" in fails(capsys, tmp_path / "none", out)
    assert "class of their source" in fails(capsys, photos, photos / "lists")
    for file in photos.glob("*/*"):
        file.write_bytes(b"")
    assert "no photo to divide" in fails(capsys, photos, out)
    names = [f"{name}/{i}.png" for name in "ab" for i in range(4)]
    (photos / "bad_files.txt").write_text("\n".join(names))
    assert "no photo to divide" in fails(capsys, photos, out)
    assert not out.exists()
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert "not empty" in fails(capsys, photos, out)
    assert "not empty" in fails(capsys, photos, out / "mine.txt")
    assert (out / "mine.txt").read_text() == "mine"


def test_photos_inside_shards_are_not_listed(tmp_path, capsys):
    shards = tmp_path / "shards"
    photos = small_folder(tmp_path / "photos")
    main(["shard", str(photos), str(shards), "--test-fraction", "0"])
    capsys.readouterr()
    message = fails(capsys, shards, tmp_path / "lists", "--again")
    assert "inside shards" in message


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, capsys):
    photos, out = small_folder(tmp_path / "photos"), tmp_path / "lists"

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(
        "mamc_keras.data.splitting.write_split.write_json", full
    )
    assert "No space left" in fails(capsys, photos, out)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_groups_are_numbered_in_the_lists(tmp_path):
    images = open_source(small_folder(tmp_path / "photos"), 0, 0)["train"]
    groups = [5, 7, 5, 9, 9, 1, 9, 2]
    splits = [0, 1, 0, 0, 0, 0, 0, 2]
    write_split(tmp_path / "lists", images, splits, groups, {"version": 1})
    rows = rows_of(tmp_path / "lists")
    assert [row["group"] for row in rows["train"]] == list("1122") + ["", "2"]
    assert [row["group"] for row in rows["val"] + rows["test"]] == ["", ""]
