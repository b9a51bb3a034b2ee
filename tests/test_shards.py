import errno
import json
import os
import resource
import shutil

import keras
import numpy as np
import pytest
import small
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from mamc_keras.cli import main
from mamc_keras.data.checking.bad_files import leave_out
from mamc_keras.data.formats.shard_reader import verify_shards
from mamc_keras.data.formats.shard_writer import write_shards
from mamc_keras.data.n_pairs import NPairPlan
from mamc_keras.data.pipeline import n_pair_dataset
from mamc_keras.data.pipeline import plain_dataset
from mamc_keras.data.reading import file_of
from mamc_keras.data.reading import name_of
from mamc_keras.data.reading import read_bytes
from mamc_keras.data.reading import read_contents
from mamc_keras.data.reading import record_path
from mamc_keras.data.sources import ImageSet
from mamc_keras.data.sources import open_source
from mamc_keras.feature_cache import cached_features
from mamc_keras.training import build

SIZE = (24, 32)
SPLITS = ("train", "val", "test")


@pytest.fixture
def splits(photo_folder):
    return open_source(photo_folder, validation_fraction=0.3)


@pytest.fixture
def shards(splits, tmp_path):
    """20 + 9 + 7 photos in 4 + 2 + 2 shards."""
    write_shards(splits, tmp_path / "shards", images_per_shard=5)
    return tmp_path / "shards"


def records(file):
    """The records of a shard as any other program reads them."""
    keys = ("image/encoded", "image/class/text", "image/filename")
    features = {key: tf.io.FixedLenFeature((), tf.string) for key in keys}
    features["image/class/label"] = tf.io.FixedLenFeature((), tf.int64)
    for record in tf.data.TFRecordDataset(str(file)):
        found = tf.io.parse_single_example(record, features)
        yield {key: value.numpy() for key, value in found.items()}


def everything(splits):
    """All photos of all splits as one set."""
    paths = sum((splits[name].paths for name in SPLITS), ())
    labels = np.concatenate([splits[name].labels for name in SPLITS])
    return ImageSet(paths, labels, splits["train"].class_names)


def contents(folder):
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.iterdir()
    }


# --- the way there and back -----------------------------------------------


def test_the_same_photos_in_the_same_order(splits, shards):
    opened = open_source(shards)
    assert list(opened) == list(SPLITS)
    for name in SPLITS:
        before, after = splits[name], opened[name]
        assert len(before) and before.class_names == after.class_names
        np.testing.assert_array_equal(before.labels, after.labels)
        for path, record in zip(before.paths, after.paths, strict=True):
            with open(path, "rb") as file:
                expected = file.read()
            assert read_bytes(record) == expected
            assert read_contents(record).numpy() == expected
            assert path.endswith(name_of(record))
            assert os.path.basename(path) == os.path.basename(record)
    pairs = zip(
        plain_dataset(everything(splits), SIZE, 16),
        plain_dataset(everything(opened), SIZE, 16),
        strict=True,
    )
    for expected, batch in pairs:
        np.testing.assert_array_equal(expected[0], batch[0])
        np.testing.assert_array_equal(expected[1], batch[1])


def test_the_same_training_batches(splits, shards):
    def batches(images):
        plan = NPairPlan(images.labels, 3, 2, seed=1)
        return n_pair_dataset(images, plan, SIZE, "standard", seed=2).take(8)

    opened = open_source(shards)
    pairs = zip(batches(splits["train"]), batches(opened["train"]), strict=True)
    for expected, batch in pairs:
        np.testing.assert_array_equal(expected[0], batch[0])
        np.testing.assert_array_equal(expected[1], batch[1])


def test_the_same_cached_features(splits, shards, tmp_path):
    lower = keras.Sequential([keras.Input((*SIZE, 3)), keras.layers.Flatten()])
    settings = {
        "image_size": list(SIZE),
        "crop_to_aspect_ratio": True,
        "augmentation": "light",
        "views": 2,
        "seed": 0,
    }
    files, records_ = (
        cached_features(lower, np.asarray, images["train"], settings, 1.0)
        for images in (splits, open_source(shards))
    )
    assert files.filename != records_.filename
    np.testing.assert_array_equal(files, records_)


def test_other_programs_read_the_records(splits, shards):
    for name in SPLITS:
        images = splits[name]
        found = {}
        for file in sorted(shards.glob(f"{name}-*.tfrecord")):
            rows = list(records(file))
            assert len({row["image/class/label"] for row in rows}) > 1
            assert len(rows) <= 5
            found |= {row["image/filename"].decode(): row for row in rows}
        assert len(found) == len(images)
        for path, label in zip(images.paths, images.labels, strict=True):
            row = found["/".join(path.split("/")[-2:])]
            with open(path, "rb") as file:
                assert row["image/encoded"] == file.read()
            assert row["image/class/label"] == label
            text = row["image/class/text"].decode()
            assert text == images.class_names[label]


def pairs_of_equal_bytes(splits, opened):
    """Asserts that photos and records hold the same; gives their paths."""
    pairs = [
        pair
        for name in SPLITS
        for pair in zip(splits[name].paths, opened[name].paths, strict=True)
    ]
    for path, record in pairs:
        with open(path, "rb") as file:
            assert read_bytes(record) == file.read()
    return pairs


def test_a_folder_of_shards_can_be_moved_and_packed_again(
    splits, shards, tmp_path
):
    shards.rename(tmp_path / "moved")
    opened = open_source(tmp_path / "moved")
    write_shards(opened, tmp_path / "again", images_per_shard=100, seed=3)
    again = open_source(tmp_path / "again")
    for path, record in pairs_of_equal_bytes(splits, again):
        assert path.endswith("/" + name_of(record))


def test_classes_and_splits_without_photos_stay(splits, tmp_path):
    train = splits["train"].take(splits["train"].labels != 1)
    given_ = {"train": train, "val": train.take([]), "test": splits["test"]}
    write_shards(given_, tmp_path / "shards")
    opened = open_source(tmp_path / "shards")
    assert opened["train"].class_names == splits["train"].class_names
    assert opened["train"].class_counts().tolist()[1] == 0
    assert len(opened["val"]) == 0 and len(opened["test"]) > 0


def test_real_photos_keep_their_bytes(shared, tmp_path):
    splits = open_source(shared / "data" / "grocery81")
    splits = {name: images.take(range(40)) for name, images in splits.items()}
    write_shards(splits, tmp_path / "shards", images_per_shard=25)
    opened = open_source(tmp_path / "shards")
    assert len(pairs_of_equal_bytes(splits, opened)) == 120


# --- paths ----------------------------------------------------------------


@given(
    # No "/" or NUL, which names of files cannot hold.
    st.text(min_size=1).filter(lambda s: not set(s) & {"/", "\0"}),
    st.binary(min_size=1, max_size=5).filter(lambda b: not set(b) & {0x2F, 0}),
    st.integers(0, 2**40),
    st.integers(0, 2**31),
)
def test_any_name_makes_a_path_that_python_and_graphs_understand(
    text, raw, offset, length
):
    from mamc_keras.data import reading

    text = os.fsencode(text.encode("utf-8", "ignore") or b"x")
    folder, name = f"/data/{os.fsdecode(text)}", os.fsdecode(raw)
    path = record_path(f"{folder}/a.tfrecord", offset, length, name)
    assert file_of(path) == f"{folder}/a.tfrecord"
    assert name_of(path) == name
    pattern = reading._RECORD_TENSOR
    assert tf.strings.regex_full_match(os.fsencode(path), pattern)
    plain = f"{folder}/{name}"
    assert file_of(plain) == plain and name_of(plain) is None
    assert not tf.strings.regex_full_match(os.fsencode(plain), pattern)


def test_names_that_are_no_text(tmp_path):
    """A file name is bytes, and older disks hold Latin-1."""
    for name in (b"caf\xe9", b"na\nme"):
        folder = os.path.join(os.fsencode(tmp_path / "photos"), name)
        os.makedirs(folder)
        for i in range(4):
            with open(os.path.join(folder, b"%d\xff.jpg" % i), "wb") as file:
                file.write(name * (i + 1) + b"\0\0")
    splits = open_source(tmp_path / "photos", 0, 0)
    write_shards(splits, tmp_path / "shards")
    opened = open_source(tmp_path / "shards")["train"]
    assert opened.class_names == splits["train"].class_names
    for path, record in zip(splits["train"].paths, opened.paths, strict=True):
        with open(path, "rb") as file:
            expected = file.read()
        assert read_bytes(record) == expected
        assert read_contents(os.fsencode(record)).numpy() == expected


# --- stopped, and run again -----------------------------------------------


class FullDisk(tf.io.TFRecordWriter):
    """Has room for eight records."""

    left = 8

    def write(self, record):
        FullDisk.left -= 1
        if FullDisk.left < 0:
            raise tf.errors.ResourceExhaustedError(None, None, "disk is full")
        super().write(record)


def test_a_stopped_run_goes_on(splits, shards, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setattr(FullDisk, "left", 8)
    with monkeypatch.context() as patch:
        patch.setattr(tf.io, "TFRecordWriter", FullDisk)
        with pytest.raises(OSError, match="disk is full.*run the same"):
            write_shards(splits, out, images_per_shard=5)
    # One shard and its list, no index, nothing half-written.
    assert sorted(path.name for path in out.iterdir()) == [
        "train-00000-of-00004.json",
        "train-00000-of-00004.tfrecord",
    ]
    with pytest.raises(ValueError, match="no index.json"):
        open_source(out)
    first = contents(out)
    (out / ".train-00001-of-00004.tfrecord.abc123").mkdir()  # Of a killed run.
    counts = []
    write_shards(
        splits, out, 5, progress=lambda *numbers: counts.append(numbers)
    )
    assert counts[-1] == (36, 36) and len(counts) == 36 - 5 + 1
    assert contents(out).items() >= first.items()
    # The same bytes as of a run that was never stopped.
    expected = {name: data for name, (data, _) in contents(shards).items()}
    assert {n: data for n, (data, _) in contents(out).items()} == expected


def test_a_file_that_may_not_grow(splits, tmp_path):
    """The limit of a process stands for a disk that is really full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match="cannot be written"):
            write_shards(splits, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list((tmp_path / "out").iterdir())


def test_a_finished_run_is_not_written_again(splits, shards):
    before = contents(shards)
    write_shards(splits, shards, images_per_shard=5)
    after = contents(shards)
    after["index.json"] = before["index.json"]
    assert after == before


def test_a_photo_that_is_gone_stops_the_run(splits, tmp_path):
    images = splits["train"]
    paths = (*images.paths[:-1], str(tmp_path / "gone.jpg"))
    images = ImageSet(paths, images.labels, images.class_names)
    with pytest.raises(FileNotFoundError, match="gone.jpg"):
        write_shards({"train": images}, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_nothing_of_others_is_touched(splits, shards, tmp_path, photo_folder):
    with pytest.raises(ValueError, match="holds 'blue_cup'"):
        write_shards(splits, photo_folder)
    # Other photos under the same names of shards.
    before = contents(shards)
    others = open_source(photo_folder, validation_fraction=0.3, seed=5)
    with pytest.raises(ValueError, match="finished shards of other photos"):
        write_shards(others, shards, images_per_shard=5)
    with pytest.raises(ValueError, match="holds 'test-00000-of-00002"):
        write_shards(splits, shards, images_per_shard=9)
    assert contents(shards) == before


def test_photos_that_changed_are_noticed(photo_folder, tmp_path):
    photos = shutil.copytree(photo_folder, tmp_path / "photos")
    splits, out = open_source(photos), tmp_path / "shards"
    write_shards(splits, out)
    changed = splits["train"].paths[3]
    with open(changed, "ab") as file:
        file.write(b"more")
    with pytest.raises(ValueError, match="photos have changed since"):
        write_shards(splits, out)
    (out / "index.json").unlink()  # As if the first call had been stopped.
    write_shards(splits, out)
    assert read_bytes(open_source(out)["train"].paths[3]).endswith(b"more")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images_per_shard": 0}, "images_per_shard=0"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_senseless_numbers(splits, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        write_shards(splits, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_no_photos(splits, tmp_path):
    with pytest.raises(ValueError, match="no photos"):
        write_shards({"train": splits["train"].take([])}, tmp_path / "out")


# --- damage ---------------------------------------------------------------


def cut(file):
    os.truncate(file, file.stat().st_size - 100)


def flip(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def other_version(file):
    index = json.loads(file.read_text())
    file.write_text(json.dumps(index | {"version": 2}))


SHARD = "train-00002-of-00004.tfrecord"
LIST = "train-00002-of-00004.json"


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        (SHARD, os.remove, "damaged.*00002-of-00004.tfrecord.*missing"),
        (SHARD, cut, "damaged.*00002-of-00004.tfrecord.* bytes instead of "),
        (LIST, os.remove, "damaged.*00002-of-00004.json.*missing"),
        (LIST, cut, "damaged.*00002-of-00004.json.*another checksum"),
        (LIST, flip, "damaged.*00002-of-00004.json.*another checksum"),
        ("index.json", cut, "damaged.*index.json.*no readable index"),
        ("index.json", os.remove, "no index.json"),
    ],
)
def test_damage_is_named_and_repaired(splits, shards, name, damage, message):
    before = {name: data for name, (data, _) in contents(shards).items()}
    damage(shards / name)
    with pytest.raises(ValueError, match=message):
        open_source(shards)
    write_shards(splits, shards, images_per_shard=5)
    after = {name: data for name, (data, _) in contents(shards).items()}
    assert after == before


def test_checksums_find_a_single_bit(splits, shards):
    done = []
    verify_shards(shards, lambda *numbers: done.append(numbers))
    assert done == [(i, 8) for i in range(1, 9)]
    flip(shards / SHARD)
    flip(shards / "val-00000-of-00002.tfrecord")
    with pytest.raises(ValueError, match=f"checksum.*{SHARD}, val-00000"):
        verify_shards(shards)
    write_shards(splits, shards, images_per_shard=5)
    verify_shards(shards)
    (shards / SHARD).unlink()
    with pytest.raises(ValueError, match=SHARD):
        verify_shards(shards)


def test_shards_of_another_version(shards):
    other_version(shards / "index.json")
    with pytest.raises(ValueError, match="another version.*version 2"):
        open_source(shards)


def test_a_shard_that_shrinks_while_it_is_read(shards):
    images = open_source(shards)["train"]
    for file in shards.glob("*.tfrecord"):
        os.truncate(file, 10)
    with pytest.raises(OSError, match="cut off") as error:
        read_bytes(images.paths[0])
    assert error.value.errno == errno.EIO
    with pytest.raises(tf.errors.OpError, match="cut off.*tfrecord"):
        list(plain_dataset(images, SIZE, 4))


# --- the command line -----------------------------------------------------


def test_help_starts_with_an_example(capsys):
    with pytest.raises(SystemExit) as error:
        main(["shard", "--help"])
    assert error.value.code == 0
    assert "Example: mamc shard" in capsys.readouterr().out


def test_commands_on_shards(photo_folder, tmp_path, capsys):
    photos = shutil.copytree(photo_folder, tmp_path / "photos")
    (photos / "red_cup" / "empty.jpg").write_bytes(b"")
    out = tmp_path / "shards"
    main(["shard", str(photos), str(out), "--images-per-shard", "5"])
    text = capsys.readouterr().out
    assert "left out" in text and "empty.jpg" in text
    assert "photos written" in text and f"wrote {out / 'index.json'}" in text
    opened = open_source(out)
    assert sum(map(len, opened.values())) == 36
    assert not any("empty" in path for path in opened["train"].paths)
    damaged = sorted(out.glob("train-*.tfrecord"))[1]
    flip(damaged)  # No size tells, only the checksum.
    with pytest.raises(SystemExit) as error:
        main(["check", str(out), "--out", str(tmp_path / "report")])
    assert error.value.code == 2
    message = capsys.readouterr().err
    assert f"checksum: {damaged.name}" in message
    assert "Traceback" not in message
    assert not (tmp_path / "report").exists()
    main(["shard", str(photos), str(out), "--images-per-shard", "5"])
    capsys.readouterr()
    main(["check", str(out), "--out", str(tmp_path / "report")])
    text = capsys.readouterr().out
    assert "suffix" not in text.lower()  # Names end as they did.
    (out / "bad_files.txt").write_text(
        os.path.relpath(opened["train"].paths[0], out) + "\n"
    )
    splits, problems = leave_out(open_source(out), out)
    assert [p.path for p in problems] == [opened["train"].paths[0]]
    main(["shard", str(photos), str(out), "--images-per-shard", "5"])


def test_train_evaluate_and_explain_on_shards(
    photo_folder, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(
        build, "load_backbone", lambda *_: (small.encoder(32), None)
    )
    out, run = tmp_path / "shards", tmp_path / "run"
    main(["shard", str(photo_folder), str(out), "--skip-check"])
    main(
        [
            *("train", str(out), "--run-dir", str(run), "--no-fast"),
            *("--image-size", "32", "32", "--embedding-dim", "8"),
            *("--epochs", "1", "--classes-per-batch", "3"),
        ]
    )
    metrics = json.loads((run / "metrics.json").read_text())
    assert 0 <= metrics["val_accuracy"] <= 1
    main(["evaluate", str(run)])
    assert "recall@1" in capsys.readouterr().out
    photo = open_source(out)["test"].paths[0]
    picture = tmp_path / "map.png"
    main(["explain", str(run), photo, "--out", str(picture)])
    assert picture.stat().st_size > 1000
    assert name_of(photo) in capsys.readouterr().out
