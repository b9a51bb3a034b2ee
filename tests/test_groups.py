"""What belongs together is found: copies, near copies, bursts, names."""

import datetime
import io

import numpy as np
import pytest
from hypothesis import example
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from PIL import Image

from mamc_keras.data.sources import ImageSet
from mamc_keras.data.sources import open_source
from mamc_keras.data.splitting.bursts import BURST_SECONDS
from mamc_keras.data.splitting.bursts import burst_pairs
from mamc_keras.data.splitting.bursts import taken_at
from mamc_keras.data.splitting.given_groups import listed_groups
from mamc_keras.data.splitting.given_groups import named_groups
from mamc_keras.data.splitting.groups import CHAIN_PHOTOS
from mamc_keras.data.splitting.groups import cut_chains
from mamc_keras.data.splitting.groups import find_groups

MAKE, MODEL, TAKEN, SUBSECOND, SERIAL = 0x10F, 0x110, 0x9003, 0x9291, 0xA431
NOON = datetime.datetime(2020, 2, 29, 11, 59, 58)


def picture(seed):
    """A smooth random picture, as photos are."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(small).resize((160, 120), Image.Resampling.BICUBIC)


def stamped(seconds, make="Canon", model="EOS 20D", endian="<", **more):
    exif = Image.Exif()
    exif.endian = endian
    for tag, value in ((MAKE, make), (MODEL, model)):
        if value:
            exif[tag] = value
    whole = int(np.floor(seconds))
    moment = NOON + datetime.timedelta(seconds=whole)
    inner = {TAKEN: moment.strftime("%Y:%m:%d %H:%M:%S")}
    if seconds != whole:
        inner[SUBSECOND] = f"{seconds - whole:.2f}"[2:]
    if "serial" in more:
        inner[SERIAL] = more["serial"]
    exif.get_ifd(0x8769).update(inner)
    return exif


def groups_of(found):
    """Sets of the indices of groups with two or more photos."""
    return {
        frozenset(np.flatnonzero(found.numbers == number).tolist())
        for number in set(found.numbers.tolist())
        if np.sum(found.numbers == number) > 1
    }


@pytest.mark.parametrize("endian", "<>")
def test_reads_when_a_photo_was_taken(tmp_path, endian):
    file = tmp_path / "a.jpg"
    start = (NOON - datetime.datetime(1970, 1, 1)).total_seconds()
    picture(0).save(file, exif=stamped(0, endian=endian))
    assert taken_at(file) == ("Canon/EOS 20D/", start)
    # Three letters stand in the entry, four with the zero.
    exif = stamped(2.25, "HTC", "", endian=endian, serial="12")
    picture(0).save(file, exif=exif)
    assert taken_at(file) == ("HTC//12", start + 2.25)
    picture(0).save(file, exif=stamped(3, "", "", endian=endian))
    assert taken_at(file) is None  # Nobody knows by which camera.
    picture(0).save(file)
    assert taken_at(file) is None
    picture(0).save(tmp_path / "a.png", exif=stamped(3))
    assert taken_at(tmp_path / "a.png") is None


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_exif_block_is_none(tmp_path_factory, data):
    buffer = io.BytesIO()
    picture(0).save(buffer, "JPEG", exif=stamped(1.5, serial="1234567"))
    contents = bytearray(buffer.getvalue())
    start = contents.index(b"Exif")
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(start, start + 200))
        contents[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.sampled_from([len(contents), start + 60, start + 9]))
    file = tmp_path_factory.getbasetemp() / "damaged.jpg"
    file.write_bytes(contents[:end])
    found = taken_at(file)
    assert found is None or isinstance(found[0], str) and found[1] == found[1]


def test_cameras_of_real_photos(shared):
    """What our reader finds is what Pillow finds."""
    folder = shared / "data" / "cub50"
    names = ("Bronzed_Cowbird_0002*", "Red_Faced_Cormorant_0065*")
    for name in (*names, "Least_Auklet_0041*"):
        [file] = folder.glob(f"*/*/{name}")
        with Image.open(file) as image:
            exif = image.getexif()
        inner = exif.get_ifd(0x8769)
        found = taken_at(file)
        assert (found is None) == (TAKEN not in inner)
        if found:
            assert found[0].startswith(f"{exif[MAKE]}/{exif[MODEL]}/")
            assert f"{found[1] % 60:05.2f}" == (
                f"{inner[TAKEN][-2:]}.{inner[SUBSECOND]}"
            )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", None]),
            st.integers(0, 120).map(lambda half: half / 2),
            st.integers(0, 1),
        ),
        max_size=14,
    )
)
@example([("a", 10, 0), ("a", 10 + BURST_SECONDS, 0)])
def test_bursts_are_those_of_the_loops(photos):
    stamps = [camera and (camera, time) for camera, time, _ in photos]
    labels = np.array([label for *_, label in photos], np.int64)
    # Everything within reach of each other, however the chain goes.
    wanted = list(range(len(photos)))
    for _ in photos:
        for i, (camera, time, label) in enumerate(photos):
            for j, (other, moment, kind) in enumerate(photos):
                near = abs(time - moment) <= BURST_SECONDS
                if camera and (camera, label) == (other, kind) and near:
                    wanted[i] = wanted[j] = min(wanted[i], wanted[j])
    found = list(range(len(photos)))
    for _ in photos:
        for i, j, seconds in burst_pairs(stamps, labels):
            found[i] = found[j] = min(found[i], found[j])
            gap = abs(stamps[i][1] - stamps[j][1])
            assert gap <= seconds < gap + 1
    assert found == wanted


def test_finds_what_belongs_together(tmp_path):
    files, labels = [], []

    def add(label, image, **options):
        files.append(str(tmp_path / f"{len(files):02d}.jpg"))
        labels.append(label)
        if isinstance(image, bytes):
            (tmp_path / files[-1]).write_bytes(image)
        else:
            image.save(files[-1], **options)

    for i in range(8):
        add(i % 2, picture(i))
    add(0, (tmp_path / "01.jpg").read_bytes())  # 8: copy, other class
    add(0, picture(2).resize((120, 90)), quality=70)  # 9 looks like 2
    add(0, picture(100), exif=stamped(0))  # 10
    add(0, picture(101), exif=stamped(4.5))  # 11: burst with 10
    add(0, picture(102), exif=stamped(9.25))  # 12: and on
    add(0, picture(103), exif=stamped(15))  # 13: too late
    add(1, picture(104), exif=stamped(1))  # 14: another class
    add(0, picture(105), exif=stamped(1, serial="7"))  # 15: another camera
    add(0, b"no image")  # 16
    add(1, b"no image")  # 17
    images = ImageSet(files, labels, ["a", "b"])
    names = [""] * len(files)
    names[3] = names[4] = names[16] = "x"
    names[4 + 1] = "y"
    seen = []
    found = find_groups(
        images, {"by hand": names}, lambda *args: seen.append(args)
    )
    assert groups_of(found) == {
        frozenset({1, 8}),
        frozenset({2, 9}),
        frozenset({10, 11, 12}),
        frozenset({3, 4}),
    }
    assert found.reasons == {
        "same contents": (1, 2),
        "look the same": (1, 2),
        "one burst": (1, 3),
        "by hand": (1, 2),
    }
    assert np.flatnonzero(~found.usable).tolist() == [16, 17]
    assert found.cut == ()
    assert seen == [(i, 18) for i in range(1, 19)]


def test_reasons_join_hands(tmp_path):
    """A near copy of a photo of a burst belongs to the burst."""
    picture(0).save(tmp_path / "0.jpg", exif=stamped(0))
    picture(1).save(tmp_path / "1.jpg", exif=stamped(2))
    picture(1).resize((80, 60)).save(tmp_path / "2.jpg")
    files = [str(tmp_path / f"{i}.jpg") for i in range(3)]
    found = find_groups(ImageSet(files, [0, 0, 0], ["a"]))
    assert groups_of(found) == {frozenset({0, 1, 2})}


def set_of(sizes):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    names = [f"c{i}" for i in range(len(sizes))]
    return ImageSet([str(i) for i in range(len(labels))], labels, names)


def test_a_chain_is_cut_where_it_is_weakest():
    # 30 photos in a row, every fifth link weaker, and a pair far away.
    images = set_of([40, 40])
    chain = [(i, i + 1, 6 if i % 5 == 4 else 2) for i in range(29)]
    pairs = np.array([*chain, (38, 39, 7), (50, 51, 7)])
    kept, sentences = cut_chains(pairs, images, "look the same")
    assert sorted(map(tuple, kept)) == sorted(
        pair for pair in map(tuple, pairs) if pair[2] != 6
    )
    [sentence] = sentences
    assert "30 photos, among them 30 of the 40 of 'c0', look" in sentence
    # As a third of its class it stays.
    images = set_of([90, 40])
    kept, sentences = cut_chains(pairs, images, "look the same")
    assert len(kept) == len(pairs) and not sentences


def test_chains_of_equal_links_fall_apart_and_small_ones_stay():
    images = set_of([20, CHAIN_PHOTOS])
    chain = [(i, i + 1, 0) for i in range(19)]
    burst = [(i, i + 1, 5) for i in range(20, 19 + CHAIN_PHOTOS)]
    kept, sentences = cut_chains(np.array(chain + burst), images, "x")
    assert kept.tolist() == [list(link) for link in burst]
    assert len(sentences) == 1


@pytest.mark.parametrize(
    ("sizes", "chained", "cut"),
    [
        ([39, 40], [13], False),  # a third
        ([38, 40], [13], True),
        ([20], [10], False),  # ten photos
        ([20], [11], True),
        ([70, 70], [20, 20], False),  # of each class 29 %
        ([70, 40], [20, 20], True),  # 29 and 50 %
        ([8] * 10, [8] * 10, True),  # the whole set
    ],
)
def test_what_is_too_large(sizes, chained, cut):
    images = set_of(sizes)
    row = np.concatenate(
        [
            np.flatnonzero(images.labels == label)[:count]
            for label, count in enumerate(chained)
        ]
    )
    pairs = np.stack([row[:-1], row[1:], 0 * row[1:]], axis=1)
    kept, sentences = cut_chains(pairs, images, "x")
    assert (len(kept) == 0) == cut and len(sentences) == cut


def test_a_photo_of_a_rare_class_cuts_no_group():
    images = set_of([100, 2])
    pairs = np.array([(i, i + 1, 0) for i in range(12)] + [(12, 100, 0)])
    kept, sentences = cut_chains(pairs, images, "x")
    assert len(kept) == 13 and not sentences


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_group_is_left_that_is_too_large(data):
    sizes = data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=3))
    images = set_of(sizes)
    place = st.integers(0, len(images) - 1)
    links = st.lists(st.tuples(place, place, st.integers(0, 7)), max_size=80)
    pairs = np.array(data.draw(links), np.int64).reshape(-1, 3)
    kept, sentences = cut_chains(pairs, images, "x")
    group = np.arange(len(images))
    for _ in kept:
        for i, j, _ in kept:
            group[[i, j]] = min(group[i], group[j])
    for number in set(group.tolist()):
        here = images.labels[group == number]
        shares = [np.mean(group[images.labels == c] == number) for c in here]
        # So no group holds more than a third of the set either.
        assert len(here) <= CHAIN_PHOTOS or np.mean(shares) <= 1 / 3 + 1e-9
        assert len(here) <= max(CHAIN_PHOTOS, len(images) / 3 + 1e-9)
    if not sentences:
        assert len(kept) == len(pairs)


def test_photos_of_one_set_up_are_not_one_group(tmp_path):
    base = np.asarray(picture(0), np.int16)
    for i in range(24):  # The same scene with another small thing in it.
        folder = tmp_path / "ab"[i % 2]
        folder.mkdir(exist_ok=True)
        pixels = base.copy()
        pixels[5 * i : 5 * i + 8, 50:60] += 20
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        image.save(folder / f"{i}.png")
    found = find_groups(open_source(tmp_path, 0, 0)["train"])
    largest = np.bincount(found.numbers).max()
    assert largest <= CHAIN_PHOTOS
    assert "look almost the same: a fixed set-up" in found.cut[0]


def test_names_of_files_name_groups():
    paths = ["m1/module7_a.jpg", "m1/module7_b.jpg", "module9/x.jpg"]
    assert named_groups(r"(module\d+)", paths) == ["module7", "module7", ""]
    assert named_groups(r"^.(?:odule)(7)?", paths) == ["7", "7", ""]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(a", "regular expression.*unterminated"),
        ("module[0-9]", "one pair of parentheses.*with 0 pairs"),
        ("(a)(b)", "with 2 pairs"),
        ("(cat)", "fits no name.*'x.jpg'"),
    ],
)
def test_bad_patterns(pattern, message):
    with pytest.raises(ValueError, match=message):
        named_groups(pattern, ["cat/x.jpg"])


def test_a_column_names_groups(tmp_path):
    for name in ("a.jpg", "b c.jpg", "d.jpg"):
        picture(0).save(tmp_path / name)
    table = tmp_path / "list.csv"
    table.write_text("Path,label,Group\na.jpg,x, g1 \nb c.jpg,y,\nd.jpg,y,g1\n")
    paths = [
        path
        for images in open_source(table, 0, 0).values()
        for path in images.paths
    ]
    assert listed_groups(table, paths) == ["g1", "", "g1"]
    table.write_text("path,label\na.jpg,x\nd.jpg,y\n")
    assert listed_groups(table, paths) == ["", "", ""]
    assert listed_groups("tfds:some", paths) == ["", "", ""]
