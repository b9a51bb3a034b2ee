"""Photos that look the same are found, others are not."""

import numpy as np
import pytest
from PIL import Image
from PIL import ImageEnhance

from mamc_keras.data.checking import near_duplicates
from mamc_keras.data.checking.copies import look_alikes
from mamc_keras.data.checking.inspection import inspect_file
from mamc_keras.data.checking.near_duplicates import near_pairs
from mamc_keras.data.checks import check_source
from mamc_keras.data.sources import ImageSet
from mamc_keras.data.sources import open_source


@pytest.mark.parametrize("near", [0, 3, 7])
def test_pairs_are_those_of_the_loops(near):
    rng = np.random.default_rng(0)
    prints = rng.integers(0, 256, (40, 16), np.uint8)
    for i, bits in enumerate((0, 1, 3, 4, 7, 8)):  # Copies with turned bits.
        copy = np.unpackbits(prints[i])
        copy[rng.permutation(128)[:bits]] ^= 1
        prints[20 + i] = np.packbits(copy)
    wanted = []
    for i in range(len(prints)):
        for j in range(i + 1, len(prints)):
            bits = sum(
                bin(a ^ b).count("1")
                for a, b in zip(
                    prints[i].tolist(), prints[j].tolist(), strict=True
                )
            )
            if bits <= near:
                wanted.append([i, j, bits])
    assert near_pairs(prints, near).tolist() == wanted
    assert len(wanted) == sum(b <= near for b in (0, 1, 3, 4, 7, 8))


@pytest.mark.parametrize("part", range(8))
def test_one_equal_eighth_is_enough(part):
    prints = np.random.default_rng(0).integers(0, 256, (2, 16), np.uint8)
    prints[1] = prints[0]
    prints[1, ::2] ^= 4 * (np.arange(8) != part).astype(np.uint8)
    assert near_pairs(prints).tolist() == [[0, 1, 7]]


@pytest.mark.parametrize("window", [2, 5])
def test_large_groups_are_compared_with_their_neighbours(monkeypatch, window):
    rng = np.random.default_rng(1)
    prints = rng.integers(0, 256, (300, 16), np.uint8)
    prints[:, :4] = 7  # One group of all by two eighths, of 30 by two more.
    prints[:, 4:6] = (np.arange(300) % 10)[:, None]
    prints[:, 6:8] = (np.arange(300) // 10 % 10)[:, None]
    prints[200:210, 8:] = prints[100:110, 8:] ^ 1 * (np.arange(8) % 2 == 0)
    wanted = near_pairs(prints).tolist()
    assert wanted == [[100 + i, 200 + i, 4] for i in range(10)]
    compared = []
    count = np.bitwise_count
    monkeypatch.setattr(near_duplicates, "WINDOW", window)
    monkeypatch.setattr(
        np, "bitwise_count", lambda x: compared.append(len(x)) or count(x)
    )
    assert near_pairs(prints).tolist() == wanted
    assert sum(compared) <= 8 * window * len(prints)


def test_stops_when_nearly_all_look_alike():
    prints = np.zeros((1500, 16), np.uint8)
    prints[:, 15] = np.arange(1500) % 4
    pairs = near_pairs(prints, most_files=100)
    assert 100 < len(np.unique(pairs[:, :2]))
    assert len(pairs) < 1500  # Of a million.
    few = near_pairs(prints[:100], most_files=100)
    assert len(few) == 100 * 99 // 2


def test_no_photos():
    assert near_pairs([]).shape == (0, 3)


def picture(seed):
    """A smooth random picture, as photos are."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(small).resize((320, 240), Image.Resampling.BICUBIC)


def test_changed_copies_are_found_and_others_are_not(tmp_path):
    for split, name in (("train", "a"), ("train", "b"), ("test", "a")):
        (tmp_path / split / name).mkdir(parents=True)
    for i in range(10):
        picture(i).save(tmp_path / "train" / "ab"[i % 2] / f"{i}.jpg")
    small = picture(0).resize((160, 120))
    small.save(tmp_path / "test" / "a" / "small.jpg", quality=60)
    brighter = ImageEnhance.Brightness(picture(2)).enhance(1.15)
    brighter.save(tmp_path / "train" / "a" / "brighter.png")
    again = tmp_path / "train" / "b" / "again.jpg"
    picture(4).save(again, quality=70)
    splits = open_source(tmp_path, validation_fraction=0)
    found = {
        (problem.kind, problem.path.split("/")[-1])
        for problem in check_source(splits).problems
        if problem.kind.startswith("near")
    }
    kinds = sorted(kind for kind, _ in found)
    assert kinds == ["near conflict", "near duplicate", "near leak"]
    assert ("near leak", "small.jpg") in found


def test_one_set_up_is_one_finding_and_flat_pictures_are_none(tmp_path):
    base = np.asarray(picture(0), np.int16)
    for i in range(24):
        folder = tmp_path / "ab"[i % 2]
        folder.mkdir(exist_ok=True)
        if i < 12:  # The same scene with another small thing in it.
            pixels = base.copy()
            pixels[10 * i : 10 * i + 20, 100:120] += 20
        else:
            pixels = np.full_like(base, 10 * i)
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        image.save(folder / f"{i}.png")
    report = check_source(open_source(tmp_path, 0, 0))
    alike = [p for p in report.problems if p.kind == "alike"]
    assert len(alike) == 1 and " of 12 photos" in alike[0].message
    assert not any(p.kind.startswith("near") for p in report.problems)


def look_alikes_of(files):
    """Findings for (split, class, digest, fingerprint)."""
    splits = {
        split: ImageSet(
            [f"{split}/{i}" for i, f in enumerate(files) if f[0] == split],
            [f[1] for f in files if f[0] == split],
            ["a", "b"],
        )
        for split in ("train", "test")
    }
    digests = {s: [f[2] for f in files if f[0] == s] for s in splits}
    looks = {s: [f[3] for f in files if f[0] == s] for s in splits}
    problems = look_alikes(splits, digests, looks)
    for p in problems:
        other = "of another class" in p.message
        assert other == (files[number(p.path)][1] != files[number(p.twin)][1])
        assert (" in t" in p.message) == (p.kind == "near leak")
    return [(p.kind, p.path, p.twin) for p in problems]


def number(path):
    return int(path.split("/")[1])


def test_every_file_is_named_once_with_its_worst_twin():
    rng = np.random.default_rng(2)
    looks = rng.integers(0, 256, 16, np.uint8)
    other = rng.integers(0, 256, 16, np.uint8)
    near = looks ^ np.eye(16, dtype=np.uint8)[3]
    files = [
        ("train", 0, b"1", looks),
        ("train", 0, b"2", near),  # near duplicate of 0
        ("train", 1, b"3", looks ^ 1),  # 16 bits: another photo
        ("train", 1, b"4", near),  # near conflict with 0 and 1
        ("train", 0, b"5", other),
        ("train", 0, None, None),  # cannot be used
        ("train", 0, b"6", None),  # one shade
        ("test", 0, b"7", looks),  # near leak from 0, 1 and 3
        ("test", 0, b"1", looks),  # the same file as 0: reported elsewhere
        ("test", 0, b"5", other),
    ]
    assert look_alikes_of(files) == [
        ("near leak", "train/1", "test/8"),
        ("near leak", "train/3", "test/8"),
        ("near leak", "test/7", "train/0"),
    ]
    assert look_alikes_of(files[:7]) == [
        ("near duplicate", "train/1", "train/0"),
        ("near conflict", "train/3", "train/1"),  # the nearest
    ]


def test_many_exact_copies_are_not_photos_that_look_alike():
    looks = np.random.default_rng(3).integers(0, 256, (40, 16), np.uint8)
    files = [("train", 0, bytes([i]), looks[i]) for i in range(40)]
    files += [("test", 0, bytes([i]), looks[i]) for i in range(40)]
    assert look_alikes_of(files) == []


def test_real_photos_hold_known_near_copies(shared):
    folder = shared / "data" / "cars98"
    splits = open_source(folder, 0, 0)
    paths = [p for images in splits.values() for p in images.paths]
    paths = [p for p in paths if "Aston" in p]
    prints = [inspect_file(path)[2] for path in paths]
    pairs = near_pairs(prints)
    assert 1 <= len(pairs) <= 3
