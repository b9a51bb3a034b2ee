"""Builds an index piece by piece, so that a kill loses one piece at most.

While it is built, `parts/` holds a folder for each 1,024 photos, written in
one step. The same command again takes up every part whose photos and preset
are still the same. At the end the parts become one file.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np

from mamc_keras.files import atomic_path
from mamc_keras.files import recover
from mamc_keras.files import write_json
from mamc_keras.search import approximate
from mamc_keras.search.index import FORMAT
from mamc_keras.search.index import PATHS_FILE
from mamc_keras.search.index import SETTINGS_FILE
from mamc_keras.search.index import SKIPPED_FILE
from mamc_keras.search.index import VECTORS_FILE
from mamc_keras.search.index import Index

PART = 1024  # photos


def build_index(preset, folder, out, progress=None):
    """Embeds every photo of a folder, and stores where each was found.

    Args:
        preset: run folder, preset folder, name or hub's handle.
        folder: str or Path. Photos in it at any depth are taken.
        out: str or Path of the index; an unfinished one is taken up.
        progress: callable `(what, done, total)`, or `None`.

    Returns:
        The `Index`.

    Raises:
        ValueError: when `out` holds something else, or there is no photo
            that can be read.
    """
    from mamc_keras.data.photo_files import find_photos
    from mamc_keras.evaluation.evaluate import load_model
    from mamc_keras.search.photos import fingerprint

    out = _new_or_begun(out)
    photos = find_photos(folder)
    model = load_model(preset)
    mark = fingerprint(model)
    parts = _embed_parts(model, mark, photos, folder, out / "parts", progress)
    settings = {
        "format": FORMAT,
        "preset": _absolute(preset),
        "fingerprint": mark,
        "photos": os.path.abspath(Path(folder).expanduser()),
    }
    _join(parts, out, settings)
    shutil.rmtree(out / "parts")
    return Index(out)


def _absolute(preset):
    """A preset as it is found from any folder; names and handles stay."""
    exists = "://" not in str(preset) and Path(preset).exists()
    return os.path.abspath(preset) if exists else str(preset)


def _new_or_begun(out):
    out = Path(out).expanduser()
    if out.is_dir():
        recover(out)
    strange = out.is_file() or (
        any(out.glob("[!.]*")) and not (out / "parts").is_dir()
    )
    if strange or (out / SETTINGS_FILE).is_file():
        raise ValueError(
            "An index is never written over something else. Received: "
            f"{str(out)!r}, which exists. Choose another --out or remove it."
        )
    return out


def _embed_parts(model, mark, photos, folder, parts, progress):
    """Makes the parts that are missing; returns the folders of all."""
    from mamc_keras.search.photos import embed_files

    wanted = {}
    for start in range(0, len(photos), PART):
        names = photos[start : start + PART]
        digest = hashlib.sha256(mark.encode())
        for name in names:
            digest.update(os.fsencode(name) + b"\0")
            digest.update(_version(os.path.join(folder, name)))
        # The name says what is in it: a part of other photos is not taken.
        part = f"{start // PART:05d}-{digest.hexdigest()[:16]}"
        wanted[parts / part] = names
    done = 0
    for part, names in wanted.items():
        if not part.is_dir():
            paths = [os.path.join(folder, name) for name in names]
            before = done

            def step(count, total, before=before):
                if progress:
                    progress("index", before + count, len(photos))

            vectors, good, problems = embed_files(model, paths, step)
            with atomic_path(part) as temporary:
                temporary.mkdir()
                stored = vectors.astype(np.float16)
                np.save(temporary / VECTORS_FILE, stored)
                write_json(
                    temporary / SETTINGS_FILE,
                    {
                        "good": good,
                        "paths": [os.fsencode(n).hex() for n in names],
                        "problems": [[p.kind, p.message] for p in problems],
                    },
                )
        done += len(names)
        if progress:
            progress("index", done, len(photos))
    return list(wanted)


def _version(path):
    """A photo that is replaced has another size or time."""
    try:
        status = os.stat(path)
    except OSError:
        return b"missing"
    return f"{status.st_size} {status.st_mtime_ns}".encode()


def _join(parts, out, settings):
    """Writes the files of the index; the settings come last."""
    said = [json.loads((p / SETTINGS_FILE).read_text()) for p in parts]
    count = sum(len(part["good"]) for part in said)
    if not count:
        problem = said[0]["problems"][0][1]
        raise ValueError(
            "None of the photos can be read. Received: "
            f"{settings['photos']!r}, where the first {problem}. Run mamc "
            "check on it, or give another folder."
        )
    arrays = [np.load(part / VECTORS_FILE, mmap_mode="r") for part in parts]
    shape = next(a.shape[1:] for a in arrays if len(a))
    with atomic_path(out / VECTORS_FILE) as file:
        whole = np.lib.format.open_memmap(
            file, "w+", np.float16, (count, *shape)
        )
        start = 0
        for array in filter(len, arrays):
            whole[start : start + len(array)] = array
            start += len(array)
        whole.flush()
        del whole
    paths, skipped = [], []
    for part in said:
        names = [os.fsdecode(bytes.fromhex(name)) for name in part["paths"]]
        good = set(part["good"])
        paths += [names[i] for i in part["good"]]
        bad = [name for i, name in enumerate(names) if i not in good]
        skipped += [
            f"{name}\t{kind}\t{message}"
            for name, (kind, message) in zip(bad, part["problems"], strict=True)
        ]
    _write_lines(out / PATHS_FILE, paths)
    _write_lines(out / SKIPPED_FILE, skipped)
    vectors = np.load(out / VECTORS_FILE, mmap_mode="r")
    approximate.build(vectors, out / approximate.FILE)
    settings = {**settings, "count": count, "skipped": len(skipped)}
    write_json(out / SETTINGS_FILE, settings)


def _write_lines(path, lines):
    # A file's name may hold any byte but a line's end in this list.
    text = "".join(line.replace("\n", "\\n") + "\n" for line in lines)
    with atomic_path(path) as temporary:
        temporary.write_bytes(os.fsencode(text))
