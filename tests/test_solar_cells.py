"""The demo's photos: counts, splits between modules, and safe writing."""

import csv
import importlib.util
import re
from pathlib import Path

import pytest

from mamc_keras.data.formats.solar_cells import CLASS_NAMES
from mamc_keras.data.formats.solar_cells import SPLITS
from mamc_keras.data.formats.solar_cells import describe
from mamc_keras.data.formats.solar_cells import write_solar_cells


@pytest.fixture(scope="module")
def package():
    module = pytest.importorskip("elpv_dataset")
    return Path(module.__file__).parent / "data"


@pytest.fixture(scope="module")
def cells(package):
    """(file, probability, type) of cells 1 to 2624, as the package says."""
    lines = (package / "labels.csv").read_text().splitlines()
    return [line.split() for line in lines]


@pytest.fixture(scope="module")
def folder(package, tmp_path_factory):
    return write_solar_cells(tmp_path_factory.mktemp("demo") / "solar_cells")


def numbers(folder, split):
    return sorted(int(p.stem) for p in (folder / split).glob("*/*.png"))


def test_counts(folder):
    counts = describe(folder)
    assert counts == {
        "train": dict(zip(CLASS_NAMES, (416, 238, 642, 308), strict=True)),
        "val": dict(zip(CLASS_NAMES, (108, 72, 206, 34), strict=True)),
        "test": dict(zip(CLASS_NAMES, (181, 59, 250, 110), strict=True)),
    }
    totals = {s: sum(c.values()) for s, c in counts.items()}
    assert totals == {"train": 1604, "val": 420, "test": 600}
    # Published counts: mono 588 + 117 sound, 56 + 313 defective, and so on.
    per_class = [sum(c[name] for c in counts.values()) for name in CLASS_NAMES]
    assert per_class == [588 + 117, 56 + 313, 920 + 178, 50 + 402]
    assert sum(per_class) == 2624


def test_every_cell_is_in_one_place_with_its_bytes(folder, package, cells):
    seen = []
    for path in folder.glob("*/*/*.png"):
        number = int(path.stem)
        seen.append(number)
        file, probability, module = cells[number - 1]
        state = "sound" if float(probability) < 0.5 else "defective"
        assert path.parent.name == f"{module}_{state}"
        if number % 50 == 0:
            assert path.read_bytes() == (package / file).read_bytes()
    assert sorted(seen) == list(range(1, 2625))


def test_splits_are_ranges_of_whole_modules(folder, cells):
    """Inside a type, a split is a few runs, each of one module or more.

    40 of the 44 modules have 60 cells; one of 54 lies among the mono cells
    901 to 1614, one of 50 among the poly cells 1615 to 2144, and two (72 and
    48) stand alone. The type changes only where a module ends, so inside a
    run of one type a cut must be a multiple of 60 from its begin or end.
    """
    split_of = {n: s for s in SPLITS for n in numbers(folder, s)}
    types = [cell[2] for cell in cells]
    begins = [n for n in range(2, 2625) if types[n - 1] != types[n - 2]]
    assert len(begins) == 9
    cuts = [n for n in range(2, 2625) if split_of[n] != split_of[n - 1]]
    for cut in set(cuts) - set(begins):
        begin = max([1, *(b for b in begins if b < cut)])
        end = min([2625, *(b for b in begins if b > cut)])
        assert (cut - begin) % 60 == 0 or (end - cut) % 60 == 0
    for module in ("mono", "poly"):
        order = [split_of[n] for n in range(1, 2625) if types[n - 1] == module]
        runs = 1 + sum(a != b for a, b in zip(order, order[1:], strict=False))
        assert runs <= 7
        for split, low, high in [
            ("train", 0.58, 0.63),
            ("val", 0.15, 0.18),
            ("test", 0.22, 0.25),
        ]:
            assert low < order.count(split) / len(order) < high


def test_the_table_keeps_the_probabilities(folder, cells):
    with open(folder / "probability.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2624
    for row, (_, probability, module) in zip(rows, cells, strict=True):
        assert (folder / row["file"]).is_file()
        assert (row["type"], row["probability"]) == (module, probability)
    sure = [row for row in rows if float(row["probability"]) in (0, 1)]
    assert len(sure) == 588 + 313 + 920 + 402


def test_the_licence_is_written(folder):
    text = (folder / "LICENSE.txt").read_text()
    assert "CC BY-NC-SA 4.0" in text and "not altered" in text
    assert "CC BY-NC-SA 4.0" in write_solar_cells.__doc__


def test_a_second_call_changes_nothing_and_a_hole_is_filled(folder):
    some = folder / "test" / "poly_sound" / "2624.png"
    before = some.stat()
    assert write_solar_cells(str(folder)) == folder
    assert some.stat().st_ino == before.st_ino
    some.unlink()
    write_solar_cells(folder)
    assert some.is_file()
    assert sum(len(numbers(folder, split)) for split in SPLITS) == 2624
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


def test_another_folder_is_left_alone(package, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="which holds other files"):
        write_solar_cells(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_failure_leaves_nothing_behind(package, tmp_path, monkeypatch):
    def full(source, target):
        raise OSError("no space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(OSError, match="no space"):
        write_solar_cells(tmp_path / "solar_cells")
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    line = re.escape("pip install mamc_keras[demo]")
    with pytest.raises(ImportError, match=line):
        write_solar_cells(tmp_path / "solar_cells")


def test_another_version_of_the_package_is_refused(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    table = "images/cell0002.png  1.0  mono\n"
    (tmp_path / "data" / "labels.csv").write_text(table)
    spec = importlib.util.spec_from_file_location(
        "elpv_dataset", tmp_path / "__init__.py"
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(ValueError, match="elpv-dataset==1.0.0.post1"):
        write_solar_cells(tmp_path / "solar_cells")
