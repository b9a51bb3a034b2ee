"""The demo's photos: solar cells, from a package that pip installs."""

import csv
import importlib.util
import shutil
from pathlib import Path

from mamc_keras.files import atomic_path

CLASS_NAMES = (
    "mono_sound",
    "mono_defective",
    "poly_sound",
    "poly_defective",
)
# Ranges of cell numbers, both ends included, cut between modules: the cells
# of a module look alike and share their faults, so a test photo must have no
# neighbour in training. A module ends where the type changes and, inside a
# run of one type, every 60 cells (counted from the nearer end where a run has
# a shorter module; the photos change their look there). Early modules are far
# more broken than late ones, hence several ranges a split; the two modules
# that look like no other (2145-2216, 2397-2444) are for training.
SPLITS = {
    "train": (
        (61, 300),
        (361, 480),
        (541, 720),
        (1021, 1434),
        (1615, 2216),
        (2397, 2444),
    ),
    "val": ((1, 60), (301, 360), (901, 1020), (2217, 2396)),
    "test": ((481, 540), (721, 900), (1435, 1614), (2445, 2624)),
}
NUM_CELLS = 2624
TABLE = "probability.csv"
COLUMNS = ["file", "type", "probability"]
LICENSE = """\
Photos of solar cells: the ELPV data set, https://pypi.org/project/elpv-dataset

Licence: Creative Commons Attribution-NonCommercial-ShareAlike 4.0
International (CC BY-NC-SA 4.0),
https://creativecommons.org/licenses/by-nc-sa/4.0/
Do not use the photos, or what is derived from them, commercially.

Authors: Claudia Buerhop-Lutz, Sergiu Deitsch, Andreas Maier, Florian
Gallwitz, Stephan Berger, Bernd Doll, Jens Hauch, Christian Camus and
Christoph J. Brabec: A Benchmark for Visual Identification of Defective Solar
Cells in Electroluminescence Imagery. EU PVSEC 2018.
https://doi.org/10.4229/35thEUPVSEC20182018-5CV.3.15

Changes: cellNNNN.png is called NNNN.png here and lies in a folder for its
split and class; the files are not altered. "Defective" is a defect
probability, given by experts, above 1/2. probability.csv keeps it: 0 and 1
are the cells that the experts were sure of.
"""


def write_solar_cells(folder):
    """Writes 2,624 photos of solar cells as class folders in three splits.

    The photos are the ELPV data set: electroluminescence images of single
    cells, grey, 300 x 300 pixels, from 44 photovoltaic modules, of which the
    package `elpv-dataset` (90 MB) holds the files. **Their licence is
    CC BY-NC-SA 4.0: not for commercial use.** It is written to LICENSE.txt
    beside the photos.

    Cracks are small and local, so the four classes look alike: module type
    (mono or poly) times sound or defective (expert probability above 1/2).
    The package gives no module numbers, but its order follows the modules.
    The splits are ranges of that order, cut between modules: 61 % of the
    cells are for training, 16 % for validation, 23 % for the test.

    Args:
        folder: str or Path. Where `train`, `val` and `test` are written,
            90 MB. A complete folder of an earlier call is left as it is, an
            incomplete one is written anew.

    Returns:
        Path of the folder: `folder/{train,val,test}/<class>/NNNN.png`,
        `folder/probability.csv` (file, type, probability) and
        `folder/LICENSE.txt`.

    Raises:
        ImportError: the package with the photos is not installed.
        ValueError: the package holds other photos than expected, or the
            folder holds something else.

    Reference:
        https://doi.org/10.4229/35thEUPVSEC20182018-5CV.3.15
    """
    folder = Path(folder)
    if folder.exists() and not _is_ours(folder):
        raise ValueError(
            "The solar cells go to a folder of their own. Received: "
            f"{folder}, which holds other files. Give another path."
        )
    if _is_complete(folder):
        return folder
    source, cells = _read_package()
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        for split in SPLITS:
            for name in CLASS_NAMES:
                (temporary / split / name).mkdir(parents=True)
        rows = []
        for number, (file, probability, module) in enumerate(cells, start=1):
            state = "defective" if float(probability) > 0.5 else "sound"
            place = f"{_split_of(number)}/{module}_{state}/{number:04d}.png"
            shutil.copyfile(source / file, temporary / place)
            rows.append((place, module, probability))
        (temporary / "LICENSE.txt").write_text(LICENSE, encoding="utf-8")
        with open(temporary / TABLE, "w", newline="", encoding="utf-8") as out:
            csv.writer(out).writerows([COLUMNS, *rows])
    return folder


def describe(folder):
    """Counts the photos of a folder that `write_solar_cells` wrote.

    Args:
        folder: str or Path.

    Returns:
        dict of dicts: split -> class name -> number of photos.
    """
    return {
        split: {
            name: len(list(Path(folder, split, name).glob("*.png")))
            for name in CLASS_NAMES
        }
        for split in SPLITS
    }


def _split_of(number):
    return next(
        split
        for split, ranges in SPLITS.items()
        if any(first <= number <= last for first, last in ranges)
    )


def _is_ours(folder):
    return (folder / TABLE).is_file() or (
        folder.is_dir() and not any(folder.iterdir())
    )


def _is_complete(folder):
    if not (folder / TABLE).is_file():
        return False
    with open(folder / TABLE, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # The split is compared too: another version may have cut elsewhere.
    return len(rows) == NUM_CELLS and all(
        row["file"].startswith(f"{_split_of(number)}/")
        and (folder / row["file"]).is_file()
        for number, row in enumerate(rows, start=1)
    )


def _read_package():
    """Finds the photos; the package is not run, so Pillow is not needed."""
    spec = importlib.util.find_spec("elpv_dataset")
    # No origin: an empty folder that an uninstalled package left behind.
    if spec is None or spec.origin is None:
        raise ImportError(
            "The photos of solar cells are in a Python package that is not "
            "installed. Run: pip install mamc_keras[demo]"
        )
    source = Path(spec.origin).parent / "data"
    table = (source / "labels.csv").read_text(encoding="utf-8")
    cells = [line.split() for line in table.splitlines()]
    files = [cell[0] for cell in cells]
    expected = [f"images/cell{n:04d}.png" for n in range(1, NUM_CELLS + 1)]
    if files != expected or {cell[2] for cell in cells} != {"mono", "poly"}:
        raise ValueError(
            f"The package of solar cells must list {NUM_CELLS} cells in "
            f"order. Received: {len(cells)} in {source}. Run: pip install "
            "--force-reinstall elpv-dataset==1.0.0.post1"
        )
    return source, cells
