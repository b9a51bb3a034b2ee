"""What `mamc explain` does: pages of pictures, and their numbers as a CSV."""

import logging
from pathlib import Path

from mamc_keras.evaluation.evaluate import data_of
from mamc_keras.evaluation.evaluate import load_model
from mamc_keras.evaluation.evaluate import predictions_of
from mamc_keras.evaluation.evaluate import preset_folder
from mamc_keras.evaluation.evaluate import readable
from mamc_keras.evaluation.explain import explain
from mamc_keras.evaluation.outputs import write_rows

PAGE = 6  # photos in one picture
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")
TABLE_FILE = "explain.csv"
_log = logging.getLogger("mamc_keras")


def explain_photos(
    path, photos, out=None, source=None, neighbours=3, progress=None
):
    """Explains photos or the photos of folders, with both checks.

    Args:
        path: str or Path of a run folder or preset folder, or a handle.
        photos: list of str or Path, photo files and folders of them.
        out: str or Path: the PNG, or with a folder among the photos the
            folder for pages and `explain.csv`; `attention.png` or `explained`
            by default.
        source: str, the training photos of a preset that is no run.
        neighbours: int. Nearest training photos to draw for each branch; 0
            for none.
        progress: callable `(what, done, total)`, or `None`.

    Returns:
        `(rows, paths)`: list of dict as `explain` gives it, and a list of the
        files written.

    Raises:
        ValueError: when a photo cannot be read, or a folder has none.
    """
    if neighbours < 0:
        raise ValueError(
            "Neighbours are counted. Received: "
            f"neighbours={neighbours}. Give 0 for none, or a small number."
        )
    many = any(Path(photo).is_dir() for photo in photos)
    out = Path(out or ("explained" if many else "attention.png"))
    if many and out.suffix.lower() == ".png":
        raise ValueError(
            "A folder of photos makes several pictures and a table. Received: "
            f"out={str(out)!r}, one file. Give a folder."
        )
    chosen = readable(_files(photos))
    model = load_model(path)
    gallery = None
    if neighbours:
        gallery = training_photos(path, source, progress)
    settings = {"check": True, "gallery": gallery, "count": neighbours}
    if not many:
        return explain(model, chosen, out, **settings), [out]
    rows, paths = [], []
    for start in range(0, len(chosen), PAGE):
        picture = out / f"explain-{start // PAGE + 1:03d}.png"
        page = chosen[start : start + PAGE]
        rows += explain(model, page, picture, **settings)
        paths.append(picture)
        if progress:
            progress("explain", len(rows), len(chosen))
    write_rows(out / TABLE_FILE, rows)
    return rows, [*paths, out / TABLE_FILE]


def training_photos(path, source=None, progress=None):
    """Embeds the training photos of a run, once for each preset.

    Args:
        path, source, progress: as in `explain_photos`.

    Returns:
        `Predictions`, kept in `evaluation-train` beside the preset; `None`
        for a preset that does not know its training photos.
    """
    if "://" in str(path):
        _log.info("No nearest training photos: a handle has none.")
        return None
    preset = preset_folder(path)
    try:
        images = data_of(path, source, progress)["train"]
    except (OSError, ValueError) as error:
        if source:
            raise
        _log.info("No nearest training photos. %s", error)
        return None
    folder = preset.parent / "evaluation-train"
    return predictions_of(preset, images, folder, progress, "train")


def _files(photos):
    """Photo files as given, and those in folders at any depth."""
    found = []
    for photo in map(Path, photos):
        if not photo.is_dir():
            found.append(photo)
            continue
        inside = sorted(
            file
            for file in photo.rglob("*")
            if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
        )
        if not inside:
            raise ValueError(
                f"There is no photo in this folder. Received: {str(photo)!r} "
                f"without {', '.join(SUFFIXES)} files. Give another one."
            )
        found += inside
    return found
