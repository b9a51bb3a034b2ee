"""What `mamc check` writes, and the code that it ends with."""

import json
import os
import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mamc_keras import files
from mamc_keras.cli import main
from mamc_keras.data.checking import check_page
from mamc_keras.data.checking import class_chart
from mamc_keras.data.checking.check_files import default_folder
from mamc_keras.data.checking.check_files import write_check
from mamc_keras.data.checks import KINDS
from mamc_keras.data.checks import CheckReport
from mamc_keras.data.checks import Problem
from mamc_keras.data.checks import SourceReport
from mamc_keras.data.checks import check_source
from mamc_keras.data.sources import ImageSet
from mamc_keras.data.sources import open_source

ODD = '<b>&"\'x"</b>'  # what a folder may be called
EMPTY_TAGS = {"meta", "img", "br"}


def save(path, seed, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (60, 80, 3), np.uint8)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def photos(tmp_path):
    """Good photos in all three splits."""
    root = tmp_path / "photos"
    for seed, name in enumerate(
        f"{split}/{c}/{i}.jpg"
        for split in ("train", "val", "test")
        for c in ("a", "dog")
        for i in range(3)
    ):
        save(root / name, seed)
    return root


@pytest.fixture
def bad_photos(photos):
    """The same with a copy, a bad file and a name with markup in it."""
    (photos / "train" / "a").rename(photos / "train" / ODD.replace("/", "|"))
    (photos / "val" / "a").rename(photos / "val" / ODD.replace("/", "|"))
    (photos / "test" / "a").rename(photos / "test" / ODD.replace("/", "|"))
    folder = photos / "train" / ODD.replace("/", "|")
    (photos / "test" / "dog" / "copy.jpg").write_bytes(
        (folder / "1.jpg").read_bytes()
    )
    contents = (folder / "0.jpg").read_bytes()
    (folder / "half.jpg").write_bytes(contents[: len(contents) // 2])
    (folder / "text.jpg").write_bytes(b"<html>")
    save(folder / "grey.png", 99)
    Image.open(folder / "grey.png").convert("L").save(folder / "grey.png")
    return photos


def run(*arguments):
    """Runs `mamc check` and returns its exit code."""
    try:
        main(["check", *map(str, arguments)])
    except SystemExit as end:
        return end.code
    return 0


class Page(HTMLParser):
    """Collects what a page refers to and checks that tags are closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.addresses, self.ids = [], [], [], []
        self.words = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "srcset", "data", "action"):
                self.addresses.append(value)
            if name == "id":
                self.ids.append(value)
        if tag not in EMPTY_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        assert tag in EMPTY_TAGS

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def test_the_page_needs_nothing_else_and_shows_names_as_they_are(
    bad_photos, tmp_path
):
    assert run(bad_photos, "--out", tmp_path / "out") == 1
    text = (tmp_path / "out" / "check.html").read_text(encoding="utf-8")
    page = Page(text)
    pictures = [a for a in page.addresses if a.startswith("data:image/jpeg;")]
    links = [a[1:] for a in page.addresses if a.startswith("#")]
    # A copy and its twin, the upper half of the cut one, the grey one.
    assert len(pictures) == page.tags.count("img") == 4
    assert len(pictures) + len(links) == len(page.addresses)
    assert sorted(links) == sorted(page.ids)
    assert sorted(links) == ["colours", "cut-off", "leak", "not-an-image"]
    assert "http" not in text and "url(" not in text and "@import" not in text
    assert not {"script", "link", "iframe", "b>"} & set(page.tags)
    name = ODD.replace("/", "|")
    assert f"train/{name}/half.jpg" in page.words
    assert f"train/{name}/1.jpg" in page.words  # the twin
    assert "test/dog/copy.jpg" in page.words
    assert page.words.count("no picture") == 1
    for kind in links:
        assert KINDS[kind.replace("-", " ")].title in page.words


def test_a_page_for_a_million_photos_stays_small(tmp_path, monkeypatch):
    save(tmp_path / "a.jpg", 0)
    path = str(tmp_path / "a.jpg")
    problems = [Problem(path, "leak", "is a copy", twin=path)] * 5000
    problems += [Problem("", "imbalance", "is uneven")] * 500
    names = tuple(f"class {i}" for i in range(3000))
    images = ImageSet([path] * 5, [0, 0, 0, 1, 2], names)
    report = SourceReport(
        {"train": CheckReport((), images, 5)}, tuple(problems)
    )
    page = Page(check_page.check_page(report, "x", tmp_path))
    assert page.tags.count("img") == 2 * check_page.MOST_SHOWN
    assert "Also in another split: 5,000" in page.words
    assert (
        "4,976 more" in page.words and "and 4,776 more in check" in page.words
    )
    assert page.words.count("is uneven") == check_page.MOST_SHOWN
    assert page.words.count("a.jpg") == (
        2 * check_page.MOST_SHOWN + check_page.MOST_NAMED
    )
    assert "class 0" in page.words and "class 2999" in page.words
    assert "2,940 more in between" in page.words
    rows = page.tags.count("tr")
    assert rows == 2 + class_chart.MOST_BARS + 1  # summary and chart


def test_bars_are_as_long_as_classes_are_large(photos):
    splits = open_source(photos)
    splits["train"] = splits["train"].take([0, 1, 2, 3])
    text = class_chart.class_chart(splits)
    rows = re.findall(r"<tr><td>(\w+)</td>(.*?)<td>(\d+)</td></tr>", text)
    assert [(name, int(total)) for name, _, total in rows] == [
        ("a", 9),
        ("dog", 7),
    ]
    for _, bars, total in rows:
        widths = [float(w) for w in re.findall(r"width:([\d.]+)%", bars)]
        assert len(widths) == 3
        assert sum(widths) == pytest.approx(100 * int(total) / 9, abs=0.1)


def test_json_says_all_that_the_report_says(bad_photos, tmp_path):
    report = check_source(open_source(bad_photos), None, bad_photos)
    write_check(report, str(bad_photos), tmp_path / "out")
    values = json.loads((tmp_path / "out/check.json").read_text("utf-8"))
    assert values["version"] == 1
    assert values["source"] == values["folder"] == str(bad_photos)
    assert [
        Problem(
            str(bad_photos / p["path"]),
            p["kind"],
            p["message"],
            p["twin"] and str(bad_photos / p["twin"]),
        )
        for p in values["problems"]
    ] == list(report.all_problems)
    for p in values["problems"]:
        assert p["split"] == p["path"].split("/")[0]
        assert p["left_out"] == KINDS[p["kind"]].left_out
        assert p["serious"] == KINDS[p["kind"]].serious
    assert values["counts"] == {
        "not an image": 1,
        "cut off": 1,
        "leak": 1,
        "colours": 1,
    }
    name = ODD.replace("/", "|")
    assert values["splits"] == {
        "train": {"checked": 9, "usable": 7, "classes": {name: 4, "dog": 3}},
        "val": {"checked": 6, "usable": 6, "classes": {name: 3, "dog": 3}},
        "test": {"checked": 7, "usable": 7, "classes": {name: 3, "dog": 4}},
    }
    text = (tmp_path / "out" / "bad_files.txt").read_text("utf-8")
    listed = [x for x in text.splitlines() if x and not x.startswith("#")]
    assert sorted(listed) == [
        f"train/{name}/half.jpg",
        f"train/{name}/text.jpg",
    ]


def test_codes(photos, tmp_path):
    out = ("--out", tmp_path / "out")
    assert run(photos, *out) == 0
    assert run(photos, *out, "--strict") == 0
    save(photos / "train" / "a" / "grey.png", 9)
    grey = photos / "train" / "a" / "grey.png"
    Image.open(grey).convert("L").save(grey)
    assert run(photos, *out) == 0  # a note
    assert run(photos, *out, "--strict") == 1
    assert "Nothing but notes" in (tmp_path / "out/check.html").read_text()
    for split in ("train", "val", "test"):
        save(photos / split / "Dog" / "0.jpg", split == "val")
    assert run(photos, *out) == 1  # "dog" and "Dog"
    assert run(tmp_path / "none", *out) == 2
    assert run(photos, *out, "--exclude", tmp_path / "none") == 2


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_code(photos, tmp_path, monkeypatch, kind):
    report = check_source(open_source(photos))
    path = str(photos / "train" / "a" / "0.jpg")
    problem = Problem(path, kind, "is so")
    changed = SourceReport(report.splits, (problem,))
    monkeypatch.setattr(
        "mamc_keras.data.checks.check_source", lambda *args, **kwargs: changed
    )
    notes = {
        *("label", "excluded", "duplicate", "near duplicate", "alike"),
        *("suffix", "cmyk", "16-bit", "colours", "orientation", "animation"),
        *("huge", "lone image", "imbalance", "absent class"),
    }
    out = ("--out", tmp_path / "out")
    assert run(photos, *out) == (kind not in notes)
    assert run(photos, *out, "--strict") == 1
    page = Page((tmp_path / "out" / "check.html").read_text("utf-8"))
    assert page.words.count("is so") == 1 and page.tags.count("img") == 1


def test_where_the_report_goes(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_folder("photos") == Path("check-photos")
    assert default_folder(str(photos) + "/") == Path("check-photos")
    assert default_folder("tfds:a_b/c:1.0.0") == Path("check-a_b-c-1.0.0")
    (tmp_path / "all.csv").write_text("path,label\n")
    assert default_folder("all.csv") == Path("check-all")
    for inside in (photos, photos / "train"):
        monkeypatch.chdir(inside)
        assert default_folder(str(photos)) == tmp_path / "check-photos"
    monkeypatch.chdir(photos)
    assert run(".") == 0
    assert (tmp_path / "check-photos" / "check.html").is_file()
    assert sorted(os.listdir(photos)) == ["test", "train", "val"]


def test_names_that_are_no_text(photos, tmp_path):
    odd = "caf\u00e9 \udcff"
    for split in ("train", "val", "test"):
        (photos / split / "dog").rename(photos / split / odd)
    (photos / "train" / odd / "x.jpg").write_bytes(b"x")
    splits = open_source(photos)
    report = check_source(splits, None, photos)
    write_check(report, str(photos), tmp_path / "out")
    values = json.loads((tmp_path / "out/check.json").read_text("utf-8"))
    assert values["problems"][0]["path"] == f"train/{odd}/x.jpg"
    assert odd in values["splits"]["train"]["classes"]
    page = Page((tmp_path / "out" / "check.html").read_text("utf-8"))
    assert unicodedata.normalize("NFC", "café \\udcff") in page.words


@pytest.mark.parametrize("failing", range(3))
def test_a_full_disk_leaves_old_files_whole(
    bad_photos, tmp_path, monkeypatch, failing
):
    report = check_source(open_source(bad_photos), None, bad_photos)
    out = tmp_path / "out"
    paths = write_check(report, str(bad_photos), out)
    before = {path: path.read_bytes() for path in paths}
    for path in paths:
        path.write_bytes(before[path] + b"# old\n")
    replace, calls = os.replace, []

    def full(source, target):
        calls.append(target)
        if len(calls) > failing:
            Path(source).write_bytes(b"half")
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_check(report, str(bad_photos), out)
    assert sorted(out.iterdir()) == sorted(paths)
    for path in paths:
        assert path.read_bytes() in (before[path], before[path] + b"# old\n")


def test_three_real_sets_give_pages(shared, tmp_path):
    splits = open_source(shared / "data" / "cars98")
    some = {
        name: images.take(["Silverado" in path for path in images.paths])
        for name, images in splits.items()
    }
    report = check_source(some)
    conflicts = [p for p in report.all_problems if p.kind == "conflict"]
    # Two classes of the set hold the same photo, byte for byte.
    assert ["00595.jpg", "03516.jpg"] == sorted(
        os.path.basename(p) for p in (conflicts[0].path, conflicts[0].twin)
    )
    [page, *_] = write_check(
        report, shared / "data" / "cars98", tmp_path / "out"
    )
    assert Page(page.read_text("utf-8")).tags.count("img") == 2
