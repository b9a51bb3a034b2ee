"""Photos that look the same are found, others are not."""

import numpy as np
import pytest
from PIL import Image
from PIL import ImageEnhance

from mamc_keras.data.checks import check_source
from mamc_keras.data.inspection import inspect_file
from mamc_keras.data.near_duplicates import near_pairs
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
    assert len(alike) == 1 and "12 of 12 photos" in alike[0].message
    assert not any(p.kind.startswith("near") for p in report.problems)


def test_real_photos_hold_known_near_copies(shared):
    folder = shared / "data" / "cars98"
    splits = open_source(folder, 0, 0)
    paths = [p for images in splits.values() for p in images.paths]
    paths = [p for p in paths if "Aston" in p]
    prints = [inspect_file(path)[2] for path in paths]
    pairs = near_pairs(prints)
    assert 1 <= len(pairs) <= 3
