"""Lists and unpacked archives as sources, each in its real form."""

import shutil

import numpy as np
import pytest
from scipy.io import savemat
from test_sources import make_tree
from test_sources import names_of

from mamc_keras.data.checks import check_source
from mamc_keras.data.sources import open_source


def as_counts(splits):
    return {name: len(images) for name, images in splits.items()}


# === Lists ===


def test_csv_with_splits(tmp_path):
    make_tree(tmp_path, ["a/1.jpg", "a b/2.jpg", "3.jpg", "4.jpg"])
    (tmp_path / "photos.csv").write_text(
        "\ufeffPath,Label,split\na/1.jpg,red cup,train\n"
        '"a b/2.jpg",blue cup,train\n3.jpg,red cup,validation\n'
        "4.jpg,blue cup,test\n",
        encoding="utf-8",
    )
    splits = open_source(tmp_path / "photos.csv")
    assert as_counts(splits) == {"train": 2, "val": 1, "test": 1}
    assert splits["train"].class_names == ("blue cup", "red cup")
    assert splits["train"].labels.tolist() == [0, 1]
    assert splits["train"].paths[0] == str(tmp_path / "a b" / "2.jpg")
    assert splits["test"].labels.tolist() == [0]


def test_list_without_splits_is_divided(tmp_path):
    files = [f"{i}.jpg" for i in range(20)]
    make_tree(tmp_path / "images", files)
    lines = [f"{file} {i % 2 + 9}" for i, file in enumerate(files)]
    (tmp_path / "all.txt").write_text("# photos\n\n" + "\n".join(lines))
    splits = open_source(str(tmp_path / "all.txt"))
    assert as_counts(splits) == {"train": 14, "val": 2, "test": 4}
    # Numbers are names too, in their order: 9 comes before 10.
    assert splits["train"].class_names == ("9", "10")


def test_annotation_lists_of_a_folder(tmp_path):
    """The layout in which Dogs-in-the-Wild is used."""
    make_tree(tmp_path, [f"images/dog {i}.jpg" for i in range(6)])
    (tmp_path / "annotation").mkdir()
    (tmp_path / "annotation" / "train.txt").write_text(
        "dog 0.jpg 0\ndog 1.jpg 1\ndog 2.jpg 0\ndog 3.jpg 1\n"
    )
    (tmp_path / "annotation" / "test.txt").write_text(
        "dog 4.jpg\t1\ndog 5.jpg\t0\n"
    )
    splits = open_source(tmp_path, validation_fraction=0)
    assert as_counts(splits) == {"train": 4, "val": 0, "test": 2}
    assert names_of(splits["test"]) == {"images/dog 4.jpg", "images/dog 5.jpg"}
    assert splits["test"].paths[0].endswith("dog 5.jpg")  # class 0 first


def test_absolute_paths(tmp_path):
    make_tree(tmp_path / "far", ["1.jpg", "2.jpg"])
    (tmp_path / "near").mkdir()
    file = tmp_path / "near" / "list.csv"
    far = tmp_path / "far"
    file.write_text(f"image,class\n{far}/1.jpg,a\n{far}/2.jpg,b\n")
    splits = open_source(file, 0, 0)
    assert splits["train"].paths == (str(far / "1.jpg"), str(far / "2.jpg"))


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("x.csv", "a,b\n1.jpg,c\n", "names its columns"),
        ("x.csv", "", "names its columns"),
        ("x.csv", "path,label\n", "names no photos"),
        ("x.csv", "path,label\n1.jpg,\n", "line 2 of"),
        ("x.csv", "path,label\n1.jpg\n", "line 2 of"),
        ("x.csv", "path,label,split\n1.jpg,a,dev\n", "'dev' in line 2"),
        ("x.csv", "path,label,split\n1.jpg,a,test\n", "no training photos"),
        ("x.txt", "1.jpg\n", "line 1 of"),
        ("x.txt", "gone.jpg a\n", "not where it says. Received: 'gone.jpg'"),
        ("x.txt", "1.jpg a\n", "at least two classes"),
    ],
)
def test_says_what_is_wrong_with_a_list(tmp_path, name, text, message):
    make_tree(tmp_path, ["1.jpg"])
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        open_source(tmp_path / name)


def test_a_list_in_another_encoding_is_named(tmp_path):
    (tmp_path / "x.csv").write_bytes("path,label\n1.jpg,é".encode("latin-1"))
    with pytest.raises(ValueError, match="no UTF-8"):
        open_source(tmp_path / "x.csv")


def test_listed_photos_that_are_gone_are_left_out(tmp_path, photo_folder):
    shutil.copytree(photo_folder, tmp_path / "photos")
    lines = [
        f"photos/{path.parent.name}/{path.name},{path.parent.name}"
        for path in sorted((tmp_path / "photos").rglob("*.jpg"))
    ]
    lines.append("photos/red_cup/gone.jpg,red_cup")
    (tmp_path / "x.csv").write_text("path,label\n" + "\n".join(lines))
    report = check_source(open_source(tmp_path / "x.csv", 0, 0))
    assert len(report.clean["train"]) == 36
    assert "gone.jpg" in "\n".join(report.lines())


# === Archives ===


def test_cub(tmp_path):
    names = {"1": "001.Black_footed_Albatross", "2": "002.Laysan_Albatross"}
    photos = [
        ("1", f"{names['1']}/A_1.jpg", "1", "1"),
        ("2", f"{names['1']}/A_2.jpg", "1", "0"),
        ("3", f"{names['2']}/B_1.jpg", "2", "1"),
        ("4", f"{names['2']}/B_2.jpg", "2", "0"),
    ]
    make_tree(tmp_path / "images", [file for _, file, _, _ in photos])
    for name, column in (
        ("images", 1),
        ("image_class_labels", 2),
        ("train_test_split", 3),
    ):
        lines = [f"{row[0]} {row[column]}\n" for row in photos]
        (tmp_path / f"{name}.txt").write_text("".join(lines))
    (tmp_path / "classes.txt").write_text(
        "".join(f"{number} {name}\n" for number, name in names.items())
    )
    splits = open_source(tmp_path, validation_fraction=0)
    assert splits["train"].class_names == tuple(names.values())
    assert names_of(splits["train"]) == {photos[0][1], photos[2][1]}
    assert names_of(splits["test"]) == {photos[1][1], photos[3][1]}
    assert splits["test"].labels.tolist() == [0, 1]
    (tmp_path / "train_test_split.txt").write_text("1 1\n2 0\n3 1\n")
    with pytest.raises(ValueError, match="image 4 without its entry"):
        open_source(tmp_path)
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(ValueError, match="missing.*classes.txt"):
        open_source(tmp_path)


def test_stanford_dogs(tmp_path):
    folders = ("n02085620-Chihuahua", "n02085782-Japanese_spaniel")
    files = {
        split: [f"{folder}/{folder[:9]}_{i}.jpg" for folder in folders]
        for i, split in enumerate(("train", "test"))
    }
    for split, names in files.items():
        make_tree(tmp_path / "Images", names)
        # MATLAB's cell array: a column of objects.
        cells = np.array([[name] for name in names], dtype=object)
        savemat(
            tmp_path / f"{split}_list.mat",
            {"file_list": cells, "labels": np.array([[1], [2]])},
        )
    splits = open_source(tmp_path, validation_fraction=0)
    assert splits["train"].class_names == ("Chihuahua", "Japanese_spaniel")
    for split, names in files.items():
        assert names_of(splits[split]) == set(names)
        assert splits[split].labels.tolist() == [0, 1]
    (tmp_path / "test_list.mat").write_bytes(b"not MATLAB")
    with pytest.raises(ValueError, match="cannot be read.*test_list.mat"):
        open_source(tmp_path)


@pytest.mark.parametrize("with_labels", [True, False])
def test_stanford_cars(tmp_path, with_labels):
    devkit = tmp_path / "devkit"
    devkit.mkdir()
    names = ["AM General Hummer SUV 2000", "Ram C/V Cargo Van 2012"]
    cells = np.empty((1, 2), dtype=object)
    cells[0] = names
    savemat(devkit / "cars_meta.mat", {"class_names": cells})
    fields = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname"]
    kinds = [(field, object) for field in fields]
    for split, classes in (("train", (2, 1, 1)), ("test", (1, 2))):
        make_tree(
            tmp_path / f"cars_{split}",
            [f"{i + 1:05d}.jpg" for i in range(len(classes))],
        )
        rows = np.array(
            [
                (1, 2, 30, 40, number, f"{i + 1:05d}.jpg")
                for i, number in enumerate(classes)
            ],
            dtype=kinds,
        )[None]
        if split == "train":
            savemat(devkit / "cars_train_annos.mat", {"annotations": rows})
        elif with_labels:
            file = tmp_path / "cars_test_annos_withlabels.mat"
            savemat(file, {"annotations": rows})
    splits = open_source(tmp_path, validation_fraction=0)
    # A slash cannot be part of a folder's name.
    assert splits["train"].class_names == (names[0], "Ram C-V Cargo Van 2012")
    assert splits["train"].labels.tolist() == [0, 0, 1]
    assert names_of(splits["train"]) == {
        f"cars_train/{i:05d}.jpg" for i in (1, 2, 3)
    }
    assert splits["test"].labels.tolist() == ([0, 1] if with_labels else [])
