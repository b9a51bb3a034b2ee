"""Photos into TFRecord shards: few large files instead of many small ones.

Every record is a `tf.train.Example` with the usual keys, so other programs
read the shards too. The encoded photos are copied as they are.
"""

import concurrent.futures
import json
import os
import shutil
import threading
from pathlib import Path

import tensorflow as tf

from mamc_keras.data.checking.bad_files import NAME as BAD_FILES
from mamc_keras.data.formats.shard_contents import Shard
from mamc_keras.data.formats.shard_contents import plan_shards
from mamc_keras.data.formats.shard_contents import read_list
from mamc_keras.data.formats.shard_contents import write_list
from mamc_keras.data.formats.shard_reader import FORMAT
from mamc_keras.data.formats.shard_reader import INDEX
from mamc_keras.data.formats.shard_reader import VERSION
from mamc_keras.data.formats.shard_reader import checksum
from mamc_keras.data.formats.shard_reader import list_file
from mamc_keras.data.reading import read_bytes
from mamc_keras.files import atomic_path
from mamc_keras.files import write_text

_BEFORE, _AFTER = 12, 4  # bytes around the data of a TFRecord


def write_shards(splits, out, images_per_shard=1024, seed=0, progress=None):
    """Writes the photos of a data set into shards, several at once.

    A shard is written under another name and renamed. A call that was
    stopped, repeated with the same photos and arguments, keeps the shards
    whose checksums are right and writes the others.

    Args:
        splits: dict of split name to `ImageSet`, from `open_source`. Damaged
            photos are copied as well; pass what `check_source` calls clean.
        out: str or Path. A new or empty folder, or that of a stopped call.
        images_per_shard: int. A shard holds at most so many photos.
        seed: int, 0 or more. Mixes the classes within each split.
        progress: callable `(num_done, num_images)`, called after each photo.

    Returns:
        Path of `index.json`, which is written last.

    Raises:
        ValueError: when `out` holds anything else.
        OSError: when a photo cannot be read or a shard not be written.
    """
    out = Path(out).expanduser()
    shards = plan_shards(splits, out, images_per_shard, seed)
    _check_names(out, shards)
    out.mkdir(parents=True, exist_ok=True)
    step = _counter(sum(len(shard.places) for shard in shards), progress)

    def keep_or_write(shard, key):
        return _kept(shard, key, step) or _write(shard, key, step)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        keys = list(pool.map(Shard.key, shards))
        _check_same(out, shards, keys)
        entries = list(pool.map(keep_or_write, shards, keys))
    index = {
        "format": FORMAT,
        "version": VERSION,
        "class_names": shards[0].images.class_names,
        "splits": {name: [] for name in splits},
    }
    for shard, entry in zip(shards, entries, strict=True):
        index["splits"][shard.split].append(entry)
    # JSON escapes what is no valid UTF-8 in a name.
    write_text(out / INDEX, json.dumps(index, indent=2) + "\n")
    return out / INDEX


def _check_names(out, shards):
    """Allows only what the same call would write; removes its half files."""
    if not out.exists():
        return
    names = {shard.file.name for shard in shards}
    names |= {list_file(name).name for name in names} | {INDEX, BAD_FILES}
    for entry in sorted(out.iterdir()):
        if entry.name in names:
            continue
        # What `atomic_path` made for a process that was killed.
        if entry.is_dir() and entry.name[1:].rpartition(".")[0] in names:
            shutil.rmtree(entry)
            continue
        raise ValueError(
            "Shards go into a folder of their own. Received: "
            f"'{out}', which holds '{entry.name}'. Choose another folder, or "
            "remove what is there."
        )


def _check_same(out, shards, keys):
    """Never replaces finished shards of other photos."""
    if not (out / INDEX).exists():
        return
    for shard, key in zip(shards, keys, strict=True):
        entry = read_list(shard)
        if entry and entry["key"] != key:
            raise ValueError(
                "There are finished shards of other photos, or the photos "
                f"have changed since. Received: '{shard.file}'. Choose "
                "another folder, or remove this one."
            )


def _kept(shard, key, step):
    """Gives the index entry of a shard that is there and whole."""
    entry = read_list(shard)
    if not entry or entry["key"] != key or not shard.file.is_file():
        return None
    if checksum(shard.file) != entry["sha256"]:
        return None
    step(len(shard.places))
    return _index_entry(shard, entry)


def _write(shard, key, step):
    """Writes a shard and then its list; gives its index entry."""
    images, end = [], 0
    with atomic_path(shard.file) as temporary:
        try:
            with tf.io.TFRecordWriter(str(temporary)) as writer:
                for place, path, label, name in shard.rows():
                    contents = read_bytes(path)
                    text = shard.images.class_names[label]
                    record = _example(contents, label, text, name)
                    writer.write(record)
                    offset = end + _BEFORE + record.index(contents)
                    images.append((place, label, offset, len(contents), name))
                    end += _BEFORE + len(record) + _AFTER
                    step(1)
        except tf.errors.OpError as error:
            raise OSError(
                f"A shard cannot be written. Received: {error.message}. Make "
                "room and run the same command again: what is finished stays."
            ) from error
        # Of what is on the disk, not of what was meant to be.
        entry = {
            "key": key,
            "bytes": temporary.stat().st_size,
            "sha256": checksum(temporary),
            "images": images,
        }
    write_list(shard, entry)
    return _index_entry(shard, entry)


def _example(contents, label, text, name):
    """Serialises a record with the keys that image tools expect."""

    def feature(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    number = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
    features = {
        "image/encoded": feature(contents),
        "image/class/label": number,
        "image/class/text": feature(os.fsencode(text)),
        "image/filename": feature(os.fsencode(name)),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def _index_entry(shard, entry):
    return {
        "file": shard.file.name,
        "images": len(entry["images"]),
        "bytes": entry["bytes"],
        "sha256": entry["sha256"],
        "list_sha256": checksum(list_file(shard.file)),
    }


def _counter(total, progress):
    """Makes a callable that adds to what is done, from any thread."""
    done, lock = 0, threading.Lock()

    def step(count):
        nonlocal done
        with lock:
            done += count
            if progress:
                progress(done, total)

    return step
