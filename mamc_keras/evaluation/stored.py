"""Predictions that are kept, and used again as long as nothing has changed."""

import hashlib
import json
import logging
import os
import zipfile
from pathlib import Path

from mamc_keras.data.reading import file_of
from mamc_keras.evaluation.predictions import ARRAYS_FILE
from mamc_keras.evaluation.predictions import Predictions
from mamc_keras.evaluation.stored_calibration import FILES as CALIBRATION_FILES
from mamc_keras.files import write_json

FILE = "fingerprint.json"
FORMAT = 1
_log = logging.getLogger("mamc_keras")


def fingerprint(preset, images):
    """Names what predictions depend on: a preset, and the photos in order.

    The preset's files count by their bytes, without its calibration, which
    changes no logit. Photos count by path, size, time of change, and label,
    as nobody wants to read all of them to find that none has changed.

    Args:
        preset: str or Path of a preset folder.
        images: `ImageSet`.

    Returns:
        str, 32 hexadecimal digits.
    """
    digest = hashlib.sha256(f"{FORMAT}\n".encode())
    for file in sorted(Path(preset).iterdir()):
        if file.is_file() and file.name not in CALIBRATION_FILES:
            digest.update(os.fsencode(file.name) + b"\n")
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    digest.update(repr(tuple(images.class_names)).encode())
    for path, label in zip(images.paths, images.labels, strict=True):
        try:
            status = os.stat(file_of(path))
            version = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:
            version = "missing"
        line = f"{os.path.abspath(path)}\n{label} {version}\n"
        digest.update(os.fsencode(line))
    return digest.hexdigest()[:32]


def stored_predictions(preset, images, folder, predict):
    """Gives the predictions in a folder, made anew when they are not these.

    Says which of the two it did.

    Args:
        preset: str or Path of the preset folder.
        images: `ImageSet`.
        folder: str or Path, read and written.
        predict: callable that gives the `Predictions` of these photos; not
            called when stored ones are used.

    Returns:
        `Predictions`.
    """
    folder = Path(folder)
    name = fingerprint(preset, images)
    found = _read(folder, name)
    if found is not None:
        _log.info(
            "The predictions in %s are of this preset and these %s photos: "
            "used again.",
            folder,
            f"{len(images):,}",
        )
        return found
    if (folder / FILE).is_file():
        _log.info(
            "The predictions in %s are of another preset or other photos: "
            "made anew.",
            folder,
        )
    predictions = predict()
    try:
        # Gone while the files change, so that it never names other ones.
        (folder / FILE).unlink(missing_ok=True)
        predictions.save(folder)
        write_json(folder / FILE, {"fingerprint": name})
    except OSError as error:
        _log.warning("The predictions are not kept: %s", error)
    return predictions


def _read(folder, name):
    """The stored predictions of that fingerprint, or `None`."""
    try:
        if json.loads((folder / FILE).read_text())["fingerprint"] == name:
            # NumPy leaves a damaged file open; this does not.
            with zipfile.ZipFile(folder / ARRAYS_FILE):
                return Predictions.load(folder)
    # Whatever is damaged is made anew.
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        pass
    return None
