"""The bytes of one photo: a file of its own, or a record of a shard.

A photo in a shard has a path like any other,
`<folder>/train-00003-of-00012.tfrecord:OFFSET+LENGTH/<name>`: the encoded
photo lies LENGTH bytes long at OFFSET, and the name is that of the file that
it was. Random access is what N-pair batches need and TFRecord readers lack.
"""

import errno
import os
import re

import numpy as np

_RECORD = re.compile(r"(.+?\.tfrecord):([0-9]+)\+([0-9]+)/(.+)", re.DOTALL)
# RE2 for names that need not be valid UTF-8.
_RECORD_TENSOR = r"\C+\.tfrecord:[0-9]+\+[0-9]+/\C+"


def record_path(shard, offset, length, name):
    """Names a photo inside a shard.

    Args:
        shard: str or Path. A file that ends in .tfrecord.
        offset: int, bytes from the start of the file to the encoded photo.
        length: int, bytes of the encoded photo.
        name: str. What the photo is called, with or without folders.

    Returns:
        str.
    """
    return f"{shard}:{offset}+{length}/{name}"


def file_of(path):
    """Gives the file on disk that holds a photo: its shard, or itself.

    Args:
        path: str or Path.

    Returns:
        str.
    """
    record = _RECORD.fullmatch(os.fspath(path))
    return record[1] if record else os.fspath(path)


def name_of(path):
    """Gives what a photo in a shard is called, `None` for a plain file.

    Args:
        path: str or Path.

    Returns:
        str or `None`.
    """
    record = _RECORD.fullmatch(os.fspath(path))
    return record[4] if record else None


def read_bytes(path):
    """Reads an encoded photo.

    Args:
        path: str or Path.

    Returns:
        bytes.

    Raises:
        OSError: when the file cannot be read, or a shard ends too early.
    """
    record = _RECORD.fullmatch(os.fspath(path))
    if not record:
        with open(path, "rb") as file:
            return file.read()
    shard, offset, length = record[1], int(record[2]), int(record[3])
    with open(shard, "rb", buffering=0) as file:
        contents = os.pread(file.fileno(), length, offset)
    if len(contents) < length:
        raise OSError(errno.EIO, "shard cut off before this photo", path)
    return contents


def read_contents(path):
    """Reads an encoded photo inside a TensorFlow graph.

    Args:
        path: string tensor or str.

    Returns:
        string tensor.
    """
    import tensorflow as tf

    def read(value):
        # Bytes in a graph, an array of one outside.
        return read_bytes(os.fsdecode(np.asarray(value, object).item()))

    def read_record():
        contents = tf.numpy_function(read, [path], tf.string, stateful=False)
        return tf.ensure_shape(contents, ())

    path = tf.convert_to_tensor(path)
    return tf.cond(
        tf.strings.regex_full_match(path, _RECORD_TENSOR),
        read_record,
        lambda: tf.io.read_file(path),
    )
