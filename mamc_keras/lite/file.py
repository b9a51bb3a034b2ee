"""A .tflite file, and the names and settings that travel inside it."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np

SETTINGS_FILE = "mamc.json"
LABELS_FILE = "labels.txt"
PROTOTYPES_FILE = "prototypes.npy"
HOW_TO_EXPORT = "Export one with `mamc export` or `export_litert`."


def open_file(path, num_threads):
    """Opens a .tflite file in the runtime.

    Args:
        path: `Path`.
        num_threads: int. CPU threads.

    Returns:
        `(interpreter, settings, names)`: the runtime's interpreter, a dict,
        and a tuple of class names or `None`. They are read from the zip at
        the end of the file, the names else from a labels.txt beside it.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is no .tflite file, or a damaged one.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no such model file. Received: {str(path)!r}. "
            f"{HOW_TO_EXPORT}"
        )
    contents = path.read_bytes()
    if contents[4:8] != b"TFL3":
        raise ValueError(
            f"This is no .tflite file. Received: {str(path)!r}. {HOW_TO_EXPORT}"
        )
    interpreter = _interpreter(contents, path, num_threads)
    return interpreter, *_read_settings(path)


def _interpreter(contents, path, num_threads):
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(
            model_content=contents, num_threads=num_threads
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"This .tflite file is damaged, or this runtime lacks one of its "
            f"operations. Received: {str(path)!r} ({error}). {HOW_TO_EXPORT}"
        ) from error
    return interpreter


def _read_settings(path):
    settings, labels = {}, None
    beside = path.with_name(LABELS_FILE)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            files = archive.namelist()
            if SETTINGS_FILE in files:
                settings = json.loads(archive.read(SETTINGS_FILE))
            if LABELS_FILE in files:
                labels = archive.read(LABELS_FILE).decode("utf-8")
    if labels is None and beside.is_file():
        labels = beside.read_text(encoding="utf-8")
    # Lines end with \n alone: a name may hold any other line separator.
    names = tuple(labels.removesuffix("\n").split("\n")) if labels else None
    return settings, names


def read_prototypes(path):
    """Reads the mean embedding of each class out of a .tflite file.

    Args:
        path: str or Path.

    Returns:
        float32 array `(num_classes, num_attentions * embedding_dim)` of unit
        vectors, or `None` when the file has none.
    """
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        if PROTOTYPES_FILE not in archive.namelist():
            return None
        stream = io.BytesIO(archive.read(PROTOTYPES_FILE))
        return np.load(stream).astype(np.float32)
