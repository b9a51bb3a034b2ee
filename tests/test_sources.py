import os

import numpy as np
import pytest

from mamc_keras.data.sources import ImageSet
from mamc_keras.data.sources import open_source


def make_tree(root, files):
    """Makes empty files: only `checks.py` opens them."""
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def class_folders(root, sizes):
    return make_tree(
        root,
        [
            f"{name}/{i}.jpg"
            for name, size in sizes.items()
            for i in range(size)
        ],
    )


def names_of(images):
    """Set of `class/file` of an image set."""
    return {"/".join(path.split(os.sep)[-2:]) for path in images.paths}


@pytest.mark.parametrize(
    "name, counts, num_classes",
    [
        ("cub50", (1350, 150, 1389), 50),
        ("cars98", (2776, 308, 1024), 98),
        ("grocery81", (2640, 296, 2485), 81),
    ],
)
def test_real_photos(shared, name, counts, num_classes):
    splits = open_source(str(shared / "data" / name))
    assert tuple(len(splits[s]) for s in ("train", "val", "test")) == counts
    assert len(splits["train"].class_names) == num_classes
    assert len(np.unique(splits["train"].labels)) == num_classes
    for images in splits.values():
        for path, label in zip(images.paths, images.labels, strict=True):
            assert images.class_names[label] in path


def test_class_folders_are_divided_by_the_fractions(tmp_path):
    root = class_folders(tmp_path, {"a": 100, "b": 50})
    splits = open_source(root, validation_fraction=0.1, test_fraction=0.2)
    counts = {name: s.class_counts().tolist() for name, s in splits.items()}
    assert counts == {"train": [72, 36], "val": [8, 4], "test": [20, 10]}
    parts = [names_of(s) for s in splits.values()]
    assert len(set.union(*parts)) == 150  # none lost, none in two splits


def test_small_classes_together_give_their_share(tmp_path):
    root = class_folders(tmp_path, {f"c{i}": 5 for i in range(40)})
    splits = open_source(root, validation_fraction=0.1, test_fraction=0.2)
    assert [len(s) for s in splits.values()] == [144, 16, 40]
    assert splits["test"].class_counts().tolist() == [1] * 40
    assert splits["val"].class_counts().max() == 1


def test_every_class_keeps_two_training_images(tmp_path):
    root = class_folders(tmp_path, {"a": 1, "b": 2, "c": 3, "d": 400})
    splits = open_source(root, validation_fraction=0.8, test_fraction=0.6)
    assert splits["train"].class_counts()[:3].tolist() == [1, 2, 2]


def test_division_depends_on_names_and_seed_alone(tmp_path):
    sizes = {"a": 30, "b": 30}
    one = open_source(class_folders(tmp_path / "one", sizes))
    # The same files, made in another order in another place.
    files = [f"{c}/{i}.jpg" for i in range(29, -1, -1) for c in "ba"]
    two = open_source(make_tree(tmp_path / "deep" / "two", files))
    other = open_source(tmp_path / "one", seed=1)
    for split in ("train", "val", "test"):
        assert names_of(one[split]) == names_of(two[split])
        assert one[split].labels.tolist() == two[split].labels.tolist()
    assert names_of(one["test"]) != names_of(other["test"])


def test_new_photos_hardly_move_the_others(tmp_path):
    before = open_source(class_folders(tmp_path, {"a": 50, "b": 50}))
    make_tree(tmp_path, ["a/new1.jpg", "b/new2.jpg"])
    after = open_source(tmp_path)
    moved = names_of(before["test"]) - names_of(after["test"])
    assert len(moved) <= 2


def test_official_splits_are_kept(tmp_path):
    root = make_tree(
        tmp_path,
        [
            *(f"train/{c}/{i}.jpg" for c in "ab" for i in range(10)),
            "valid/a/v.png",
            *(f"test/{c}/t.jpg" for c in "ab"),
        ],
    )
    splits = open_source(root, validation_fraction=0.5, test_fraction=0.5)
    assert [len(s) for s in splits.values()] == [20, 1, 2]
    assert splits["val"].class_names == ("a", "b")


@pytest.mark.parametrize("fraction, expected", [(0.1, (18, 2)), (0, (20, 0))])
def test_validation_comes_out_of_training(tmp_path, fraction, expected):
    files = [f"train/{c}/{i}.jpg" for c in "ab" for i in range(10)]
    root = make_tree(tmp_path, [*files, "test/a/t.jpg"])
    splits = open_source(root, validation_fraction=fraction)
    assert (len(splits["train"]), len(splits["val"])) == expected
    assert names_of(splits["test"]) == {"a/t.jpg"}


@pytest.mark.parametrize("name", ["val", "Valid", "validation"])
def test_names_of_the_validation_folder(tmp_path, name):
    files = [f"Train/{c}/{i}.jpg" for c in "ab" for i in range(3)]
    splits = open_source(make_tree(tmp_path, [*files, f"{name}/b/v.jpg"]))
    assert names_of(splits["val"]) == {"b/v.jpg"}
    assert len(splits["test"]) == 0


def test_a_class_may_be_called_train(tmp_path):
    root = class_folders(tmp_path, {"train": 5, "bus": 5, "train/old": 5})
    splits = open_source(root)
    assert splits["train"].class_names == ("bus", "train")


def test_classes_are_in_natural_order(tmp_path):
    names = ["class 10", "class 2", "Class 1", "10", "9", "b", "A"]
    splits = open_source(class_folders(tmp_path, dict.fromkeys(names, 2)))
    assert splits["train"].class_names == (
        *("9", "10"),
        *("A", "b"),
        *("Class 1", "class 2", "class 10"),
    )


def test_which_files_count(tmp_path):
    wanted = ["a/1.jpg", "a/2.JPEG", "a/3.png", "a/4.Bmp", "a/5.gif"]
    wanted += ["a/6.webp", "a/7.heic", "b/1.jpg"]
    root = make_tree(
        tmp_path,
        [
            *wanted,
            *("a/notes.txt", "a/.hidden.jpg", "a/jpg", "a/deeper/8.jpg"),
            *(".git/1.jpg", "__MACOSX/a.jpg", "cover.jpg"),
        ],
    )
    (root / "a" / "folder.jpg").mkdir()
    splits = open_source(root, 0, 0)
    assert names_of(splits["train"]) == set(wanted)


def test_links_to_files_and_folders_count(tmp_path):
    real = class_folders(tmp_path / "real", {"x": 3})
    root = class_folders(tmp_path / "links", {"a": 2})
    (root / "b").symlink_to(real / "x", target_is_directory=True)
    (root / "a" / "linked.jpg").symlink_to(real / "x" / "0.jpg")
    (root / "a" / "dangling.jpg").symlink_to(real / "gone.jpg")
    counts = open_source(root, 0, 0)["train"].class_counts()
    # A link into nowhere is listed, for `checks.py` to name it.
    assert counts.tolist() == [4, 3]


def tree(*files):
    return lambda root: make_tree(root, files)


@pytest.mark.parametrize(
    "make, message",
    [
        (tree(), "no class folders with images"),
        (tree("a.jpg", "b.jpg"), "has 2 images but no class folders"),
        (tree("a/1.txt"), "no class folders with images"),
        (tree("a/1.jpg"), "one class folder: 'a'. Add a folder"),
        (tree("a/1.jpg", "b/1.txt"), "without images in '.*': 'b'"),
        (
            tree("train/a/1.jpg", "train/b/1.jpg", "test/c/1.jpg"),
            "test split of '.*' has classes without training images: 'c'",
        ),
        (tree("test/a/1.jpg", "val/a/1.jpg"), "no folder 'train'"),
        (
            tree("train/a/1.jpg", "val/a/1.jpg", "valid/a/1.jpg"),
            "Two folders look like the val split",
        ),
    ],
)
def test_says_what_is_wrong(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(ValueError, match=message):
        open_source(tmp_path)


def test_says_that_the_path_is_wrong(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist. Received"):
        open_source(tmp_path / "nowhere")
    file = tmp_path / "photos.zip"
    file.touch()
    with pytest.raises(ValueError, match="must be a folder. Received the file"):
        open_source(file)


@pytest.mark.parametrize("fraction", [-0.1, 1.0])
def test_fractions_are_checked(tmp_path, fraction):
    with pytest.raises(ValueError, match=f"validation_fraction={fraction}"):
        open_source(tmp_path, validation_fraction=fraction)
    with pytest.raises(ValueError, match=f"test_fraction={fraction}"):
        open_source(tmp_path, test_fraction=fraction)


def test_image_set():
    images = ImageSet(["a", "b", "c"], [0, 2, 2], ["x", "y", "z"])
    assert len(images) == 3
    assert images.labels.dtype == np.int64
    assert images.class_counts().tolist() == [1, 0, 2]
    taken = images.take([2, 0])
    assert taken.paths == ("c", "a")
    assert taken.labels.tolist() == [2, 0]
    assert taken.class_names == ("x", "y", "z")
    assert images.take(images.labels == 2).paths == ("b", "c")
    assert len(images.take([])) == 0
    with pytest.raises(ValueError, match="read-only"):
        images.labels[0] = 1
    with pytest.raises(ValueError, match="2 paths and 1 labels"):
        ImageSet(["a", "b"], [0], ["x"])
    with pytest.raises(ValueError, match="labels from 0 to 3 for 3"):
        ImageSet(["a", "b"], [0, 3], ["x", "y", "z"])
