"""A folder of TFRecord shards that `mamc shard` wrote, as a source.

`index.json` names the classes and the shards of each split; beside each shard
a .json file says where its photos lie. Opening reads these and compares
sizes; `verify_shards` reads every byte.
"""

import concurrent.futures
import hashlib
import json
import os
from pathlib import Path

import numpy as np

from mamc_keras.data.checking.findings import listed
from mamc_keras.data.reading import record_path

FORMAT = "mamc_keras shards"
VERSION = 1
INDEX = "index.json"


def is_shard_folder(source):
    """Tells a folder of shards, finished or not, from other sources.

    Args:
        source: str or Path.

    Returns:
        bool.
    """
    root = Path(source).expanduser()
    if not root.is_dir():
        return False
    return _is_ours(root / INDEX) or any(root.glob("*.tfrecord"))


def read_index(root):
    """Reads what a folder of shards says about itself.

    Args:
        root: str or Path.

    Returns:
        dict with `class_names`, and `splits`: for each split a list of
        shards, dicts of `file`, `images`, `bytes`, `sha256`, `list_sha256`.

    Raises:
        ValueError: when the index is missing, damaged or of another version.
    """
    file = Path(root).expanduser() / INDEX
    if not file.is_file():
        raise ValueError(
            f"There are shards but no {INDEX}. Received: '{file.parent}'. "
            "Run the `mamc shard` command that was stopped once more: it "
            "goes on where it was. Shards of other programs cannot be read."
        )
    try:
        index = json.loads(file.read_text(encoding="utf-8"))
        ours = index["format"] == FORMAT
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(file, "it is no readable index") from error
    if not ours or index.get("version") != VERSION:
        raise ValueError(
            "The shards are of another version. Received: "
            f"{index['format']!r}, version {index.get('version')}, in "
            f"'{file}'; this program reads version {VERSION}. Write them "
            "again with `mamc shard`."
        )
    return index


def read_shards(root):
    """Lists the photos of a folder of shards, in the order of its source.

    Args:
        root: str or Path.

    Returns:
        `(class_names, splits)`: list of str, and a dict of split name to
        `(paths, labels)`, a list of str and an int array.

    Raises:
        ValueError: when a shard is missing, has another size, or does not
            fit the index.
    """
    root = Path(root).expanduser()
    index = read_index(root)
    splits = {}
    for name, shards in index["splits"].items():
        count = sum(shard["images"] for shard in shards)
        paths, labels = [None] * count, np.zeros(count, np.int64)
        for shard in shards:
            file = root / shard["file"]
            _compare_size(file, shard["bytes"])
            for place, label, offset, length, photo in _listed(file, shard):
                paths[place] = record_path(file, offset, length, photo)
                labels[place] = label
        splits[name] = paths, labels
    return index["class_names"], splits


def verify_shards(root, progress=None):
    """Compares every shard with its checksum.

    Args:
        root: str or Path.
        progress: callable `(num_done, num_shards)`, or `None`.

    Raises:
        ValueError: names the shards that are not as they were written.
    """
    root = Path(root).expanduser()
    shards = sum(read_index(root)["splits"].values(), [])
    damaged = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        files = [root / shard["file"] for shard in shards]
        for done, digest in enumerate(pool.map(_checksum_or_none, files), 1):
            if digest != shards[done - 1]["sha256"]:
                damaged.append(files[done - 1].name)
            if progress:
                progress(done, len(shards))
    if damaged:
        files = listed(damaged)
        raise _damaged(root / damaged[0], f"another checksum: {files}")


def checksum(file):
    """Computes the SHA-256 of a file: str of 64 hexadecimal digits."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def list_file(shard):
    """Gives the Path of the .json that lists the photos of a shard."""
    return Path(shard).with_suffix(".json")


def _is_ours(file):
    try:
        with open(file, "rb") as stream:
            return f'"{FORMAT}"'.encode() in stream.read(200)
    except OSError:
        return False


def _listed(file, shard):
    """Rows of (place in the split, label, offset, length, name)."""
    path = list_file(file)
    try:
        contents = path.read_bytes()
    except FileNotFoundError as error:
        raise _damaged(path, "it is missing") from error
    if hashlib.sha256(contents).hexdigest() != shard["list_sha256"]:
        raise _damaged(path, "another checksum")
    return json.loads(contents)["images"]


def _compare_size(file, expected):
    try:
        size = file.stat().st_size
    except FileNotFoundError as error:
        raise _damaged(file, "it is missing") from error
    if size != expected:
        raise _damaged(file, f"{size} bytes instead of {expected}")


def _checksum_or_none(file):
    try:
        return checksum(file)
    except FileNotFoundError:
        return None


def _damaged(file, reason):
    return ValueError(
        f"The shards are damaged. Received: '{file}' ({reason}). Copy the "
        "file again from where it is whole, or run the same `mamc shard` "
        "command again: it writes what is damaged and keeps the rest."
    )
