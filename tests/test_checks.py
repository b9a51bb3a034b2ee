import io

import numpy as np
import pytest
from PIL import Image

from mamc_keras.data.checking import inspection
from mamc_keras.data.checks import KINDS
from mamc_keras.data.checks import CheckReport
from mamc_keras.data.checks import Problem
from mamc_keras.data.checks import check_images
from mamc_keras.data.checks import check_source
from mamc_keras.data.n_pairs import NPairPlan
from mamc_keras.data.pipeline import n_pair_dataset
from mamc_keras.data.pipeline import plain_dataset
from mamc_keras.data.sources import ImageSet
from mamc_keras.data.sources import open_source


def picture(seed=0, size=(40, 30), mode="RGB"):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3))
    return Image.fromarray(pixels.astype(np.uint8)).convert(mode)


def encoded(image, suffix, **options):
    buffer = io.BytesIO()
    image.save(buffer, suffix, **options)
    return buffer.getvalue()


def animation(suffix):
    frames = [picture(seed) for seed in (1, 2, 3)]
    return encoded(frames[0], suffix, save_all=True, append_images=frames[1:])


def sideways():
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(picture(), "JPEG", exif=exif)


def deep(bits=16):
    pixels = np.arange(1024, dtype=np.uint16).reshape(32, 32) * 60
    return encoded(Image.fromarray(pixels), "PNG")


JPEG = encoded(picture(), "JPEG")
PNG = encoded(picture(), "PNG")


def wide(width):
    return encoded(Image.new("RGB", (width, 8)), "PNG")


LEFT_OUT = {
    "empty": ("a.jpg", b""),
    "text": ("a.jpg", b"<html>404 not found</html>"),
    "zeros": ("a.jpg", bytes(5000)),
    "half a jpeg": ("a.jpg", JPEG[: len(JPEG) // 2]),
    "jpeg without its end": ("a.jpg", JPEG[:-20]),
    "start of a jpeg": ("a.jpg", JPEG[:20]),
    "half a png": ("a.png", PNG[: len(PNG) // 2]),
    "broken png": ("a.png", PNG[:60] + bytes(40) + PNG[100:]),
    "half a gif": ("a.gif", encoded(picture(), "GIF")[:400]),
    "half a webp": ("a.webp", encoded(picture(), "WEBP")[:200]),
    "half a bmp": ("a.bmp", encoded(picture(), "BMP")[:2000]),
    "heic": ("a.heic", b"\x00\x00\x00\x18ftypheic" + bytes(100)),
    "avif": ("a.jpg", b"\x00\x00\x00\x18ftypavif" + bytes(100)),
    "tiff": ("a.tif", encoded(picture(), "TIFF")),
    "bmp with a palette": ("a.bmp", encoded(picture(mode="P"), "BMP")),
    "animated webp": ("a.webp", animation("WEBP")),
    "one pixel": ("a.png", encoded(picture(size=(1, 1)), "PNG")),
    "a thin line": ("a.jpg", encoded(picture(size=(200, 7)), "JPEG")),
    "60,000 x 60,000": ("a.png", PNG[:16] + b"\0\0\xea\x60" * 2 + PNG[24:]),
    "random bytes in a jpeg": ("a.jpg", JPEG[:20] + bytes(600) + JPEG[620:]),
}
KIND_OF = {
    "empty": "empty",
    "text": "not an image",
    "zeros": "not an image",
    "half a jpeg": "cut off",
    "jpeg without its end": "cut off",
    "start of a jpeg": "cut off",
    "half a png": "cut off",
    "half a gif": "cut off",
    "half a webp": "cut off",
    "half a bmp": "cut off",
    "heic": "unsupported",
    "avif": "unsupported",
    "tiff": "unsupported",
    "bmp with a palette": "unsupported",
    "animated webp": "unsupported",
    "one pixel": "too small",
    "a thin line": "too small",
    "60,000 x 60,000": "too large",
}
KEPT = {
    "jpeg": ("a.jpg", JPEG, None),
    "jpeg in capitals": ("A.JPEG", JPEG, None),
    "png": ("a.png", PNG, None),
    "webp": ("a.webp", encoded(picture(), "WEBP"), None),
    "bmp": ("a.bmp", encoded(picture(), "BMP"), None),
    "gif": ("a.gif", encoded(picture(), "GIF"), None),
    "png called jpg": ("a.jpg", PNG, "suffix"),
    "gif called jpg": ("a.jpg", encoded(picture(), "GIF"), "suffix"),
    "jpeg called png": ("a.png", JPEG, "suffix"),
    "grey jpeg": ("a.jpg", encoded(picture(mode="L"), "JPEG"), "colours"),
    "cmyk jpeg": ("a.jpg", encoded(picture(mode="CMYK"), "JPEG"), "cmyk"),
    "grey png": ("a.png", encoded(picture(mode="L"), "PNG"), "colours"),
    "transparent png": (
        "a.png",
        encoded(picture(mode="RGBA"), "PNG"),
        "colours",
    ),
    "palette png": ("a.png", encoded(picture(mode="P"), "PNG"), None),
    "deep png": ("a.png", deep(), "16-bit"),
    "6,001 pixels wide": ("a.png", wide(6001), "huge"),
    "6,000 pixels wide": ("a.png", wide(6000), None),
    "sideways": ("a.jpg", sideways(), "orientation"),
    "animated gif": ("a.gif", animation("GIF"), "animation"),
    "8 x 8": ("a.png", encoded(picture(size=(8, 8)), "PNG"), None),
}


def one_file(folder, name, contents):
    path = folder / name
    path.write_bytes(contents)
    return ImageSet([str(path)], [0], ["a"])


def file_problems(report):
    return [problem for problem in report.problems if problem.path]


@pytest.mark.parametrize("case", LEFT_OUT)
def test_leaves_out_what_cannot_be_used(tmp_path, case):
    images = one_file(tmp_path, *LEFT_OUT[case])
    report = check_images(images)
    [problem] = file_problems(report)
    assert problem.path == images.paths[0]
    assert problem.kind == KIND_OF.get(case, "damaged")
    assert problem.left_out
    assert problem.message
    assert len(report.clean) == 0
    assert report.clean.class_names == ("a",)


@pytest.mark.parametrize("case", KEPT)
def test_keeps_what_can_be_used(tmp_path, case):
    name, contents, kind = KEPT[case]
    images = one_file(tmp_path, name, contents)
    report = check_images(images)
    assert [p.kind for p in file_problems(report)] == ([kind] if kind else [])
    assert not any(problem.left_out for problem in report.problems)
    assert report.clean.paths == images.paths
    # What was kept can be read by training and evaluation.
    [(batch, _)] = plain_dataset(images, (16, 16), 1).as_numpy_iterator()
    assert batch.shape == (1, 16, 16, 3)


def test_messages_are_for_people(tmp_path):
    def message(name, contents):
        return file_problems(check_images(one_file(tmp_path, name, contents)))[
            0
        ].message

    assert message("a.heic", LEFT_OUT["heic"][1]) == (
        "is a HEIC file; convert it to JPEG or PNG"
    )
    assert message("a.jpg", JPEG[:300]) == "is a cut-off JPEG file"
    broken = LEFT_OUT["random bytes in a jpeg"][1]
    assert message("a.jpg", broken) == "is a damaged JPEG file"
    assert message("a.png", LEFT_OUT["60,000 x 60,000"][1]) == (
        "has 60000 x 60000 pixels; at most 200,000,000 are decoded"
    )
    assert message("a.png", LEFT_OUT["one pixel"][1]) == (
        "is only 1 x 1 pixels; at least 8 are needed on each side"
    )
    assert message("a.jpg", PNG) == "is a PNG file in spite of its name"
    assert message("a.png", deep()) == (
        "has 16 bits per colour and shades of grey, made into 8-bit RGB"
    )


@pytest.fixture
def folders(tmp_path):
    """Writes `{"class/file": contents}` and opens the folder undivided."""

    def write(files):
        for name, contents in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents)
        return open_source(tmp_path, 0, 0)

    return write


def jpegs(folder, seeds):
    return {f"{folder}/{s}.jpg": encoded(picture(s), "JPEG") for s in seeds}


def test_clean_keeps_order_and_labels(folders):
    train = folders(
        {
            **jpegs("a", range(5)),
            "a/2.jpg": b"",
            **jpegs("b", range(10, 14)),
            "b/12.jpg": JPEG[:100],
        }
    )["train"]
    clean = check_images(train).clean
    assert [path.split("/")[-1] for path in clean.paths] == [
        *("0.jpg", "1.jpg", "3.jpg", "4.jpg"),
        *("10.jpg", "11.jpg", "13.jpg"),
    ]
    assert clean.labels.tolist() == [0] * 4 + [1] * 3
    # Training on it meets no unreadable file in a whole epoch.
    plan = NPairPlan(clean.labels, 2, 2)
    dataset = n_pair_dataset(clean, plan, (16, 16), "standard")
    list(dataset.take(2 * plan.steps_per_epoch))


def test_a_missing_file(tmp_path):
    report = check_images(ImageSet([str(tmp_path / "gone.jpg")], [0], ["a"]))
    [problem] = file_problems(report)
    assert problem.kind == "missing"
    assert "No such file" in problem.message


def test_finds_copies(folders):
    train = folders(
        {
            **jpegs("a", range(3)),
            **jpegs("b", range(10, 13)),
            "a/copy.jpg": encoded(picture(1), "JPEG"),
            "b/other.jpg": encoded(picture(2), "JPEG"),
            "b/empty1.jpg": b"",
            "b/empty2.jpg": b"",
        }
    )["train"]
    report = check_images(train)
    found = {
        (problem.kind, problem.path[-11:], problem.twin[-7:])
        for problem in report.problems
        if problem.kind in ("duplicate", "conflict")
    }
    assert found == {
        ("duplicate", "/a/copy.jpg", "a/1.jpg"),
        ("conflict", "b/other.jpg", "a/2.jpg"),
    }
    assert len(report.clean) == 8  # both are only reported


def test_finds_photos_in_two_splits(folders):
    files = {
        **jpegs("train/a", [0, 1, 2]),
        **jpegs("train/b", [3, 4, 5]),
        **jpegs("test/a", [6, 1, 4]),
        **jpegs("test/b", [7]),
        "train/a/bad.jpg": b"x",
        "test/b/bad.jpg": b"x",
    }
    report = check_source(folders(files))
    leak, other = report.problems
    assert leak.kind == other.kind == "leak"
    assert other.path.endswith("test/a/4.jpg")
    assert other.message.endswith("train/b/4.jpg', as another class")
    assert leak.path.endswith("test/a/1.jpg")
    assert leak.twin.endswith("train/a/1.jpg")
    assert "is also in train" in leak.message
    assert "another class" not in leak.message
    assert [len(images) for images in report.clean.values()] == [6, 0, 4]


def test_speaks_of_classes(folders):
    files = {
        **jpegs("train/a", range(40)),
        **jpegs("train/b", range(100, 104)),
        **jpegs("train/c", [200]),
        **jpegs("test/a", [300]),
    }
    report = check_source(folders(files))
    assert [problem.kind for problem in report.problems] == [
        "lone image",
        "imbalance",
        "absent class",
    ]
    lines = report.lines()
    assert lines[0] == (
        "train: 45 images checked, 45 can be used: 3 classes of 1 to 40 images."
    )
    assert lines[1].startswith("test: 1 images checked")
    assert lines[2] == (
        "One image is too few to learn a class from and to test it: c."
    )
    assert "The largest class has 40 images and the smallest 1." in lines[3]
    assert lines[4] == "test has no image of 2 of 3 classes: b, c."


def test_a_class_may_lose_all_its_images(folders):
    train = folders({**jpegs("a", [0, 1]), "b/bad.jpg": b"x"})["train"]
    report = check_images(train)
    assert report.lines()[-1] == "The set has no image of 1 of 2 classes: b."


def test_lines_sum_up(folders):
    files = {
        **jpegs("a", range(3)),
        **jpegs("b", range(10, 13)),
        **{f"b/empty{i}.jpg": b"" for i in range(5)},
        "a/copy.jpg": encoded(picture(1), "JPEG"),
    }
    train = folders(files)["train"]
    first, empty, twice = check_images(train).lines()
    assert first == (
        "12 images checked, 7 can be used: 2 classes of 3 to 4 images."
    )
    assert empty.startswith("Empty (left out), 5 files: ")
    assert empty.endswith("empty2.jpg and 2 more")
    assert twice.startswith("Twice in a class (kept), 1 file: ")
    assert twice.endswith("copy.jpg = " + train.paths[1])


def test_progress_counts_over_all_splits(folders):
    files = {
        **jpegs("train/a", [0, 1]),
        **jpegs("train/b", [2, 3]),
        **jpegs("test/a", [4]),
    }
    seen = []
    check_source(folders(files), progress=lambda *args: seen.append(args))
    assert seen == [(i, 5) for i in range(1, 6)]


def test_a_large_file_is_named_and_kept(tmp_path, monkeypatch):
    images = one_file(tmp_path, "a.jpg", JPEG)
    monkeypatch.setattr(inspection, "HUGE_BYTES", len(JPEG))
    assert not check_images(images).problems[:-1]  # A lone image.
    monkeypatch.setattr(inspection, "HUGE_BYTES", len(JPEG) - 1)
    [problem] = file_problems(check_images(images))
    assert problem.kind == "huge" and not problem.left_out


def test_what_claims_to_be_too_large_is_never_decoded(tmp_path, monkeypatch):
    def decode(contents):
        raise AssertionError

    images = one_file(tmp_path, *LEFT_OUT["60,000 x 60,000"])
    monkeypatch.setattr(inspection, "_probe", lambda: decode)
    assert file_problems(check_images(images))[0].kind == "too large"


@pytest.mark.parametrize(
    ("names", "collide"),
    [
        (("Red cup", "red cup"), True),
        (("Stra\u00dfe", "STRASSE"), True),
        (("caf\u00e9", "cafe\u0301"), True),
        (("cup", "cup "), True),
        (("red  cup", "red cup"), True),
        (("red\u00a0cup", "red cup"), True),
        (("cup", "cups"), False),
        (("caf\u00e9", "cafe"), False),
        (("red cup", "redcup"), False),
    ],
)
def test_names_that_are_the_same_to_a_person(names, collide):
    images = ImageSet((), (), ("other", *names))
    for report in (check_images(images), check_source({"train": images})):
        found = [p for p in report.problems if p.kind == "name collision"]
        assert len(found) == collide
        if collide:
            assert ascii(names[0]) in found[0].message
            assert ascii(names[1]) in found[0].message
            assert found[0].serious


def test_every_kind_says_what_happens_to_the_file():
    for kind, about in KINDS.items():
        problem = Problem("a.jpg", kind, "is so")
        images = ImageSet((), (), ("a", "b"))
        lines = CheckReport((problem,), images, 1).lines()
        fate = "left out" if about.left_out else "kept"
        assert lines[1] == f"{about.title} ({fate}), 1 file: a.jpg"
        assert about.advice
        # What is left out needs a look, but for what a person left out.
        assert about.serious or not about.left_out or kind == "excluded"


def test_no_images():
    report = check_images(ImageSet((), (), ("a", "b")))
    assert report.problems == ()
    assert report.lines() == [
        "0 images checked, 0 can be used: 0 classes of 0 images."
    ]


def test_real_photos(shared):
    train = open_source(shared / "data" / "grocery81")["train"]
    some = train.take(range(0, len(train), 20))
    report = check_images(some)
    assert report.clean.paths == some.paths
    assert not file_problems(report)
