"""Reads a PyTorch state_dict without PyTorch, and without running its code."""

import collections
import io
import math
import pickle
from pathlib import Path
from typing import NamedTuple

import numpy as np

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001
DTYPES = {
    "BoolStorage": "|b1",
    "ByteStorage": "|u1",
    "CharStorage": "|i1",
    "ShortStorage": "<i2",
    "IntStorage": "<i4",
    "LongStorage": "<i8",
    "HalfStorage": "<f2",
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
}


def read_state_dict(path):
    """Reads the tensors of a legacy (PyTorch 1.5 or older) state_dict file.

    The file is five pickles (magic number, version, machine, tensors, order
    of the storages) and then, for each storage, an int64 count and the
    numbers. A pickle can name any function to be run; this reader knows two
    (`OrderedDict` and the one that describes a tensor) and refuses a file
    that names another, so a file from elsewhere is safe to read.

    Args:
        path: str or Path. A file written by `torch.save(state_dict, path)`
            of PyTorch 1.5 or older, or with the option
            `_use_new_zipfile_serialization=False`.

    Returns:
        dict from str to np.ndarray, in the order of the file. A tensor of
        shape () is an array of shape ().

    Raises:
        ValueError: the file is cut short, is something else, or its pickle
            names anything but tensors; the message says which.
    """
    contents = Path(path).read_bytes()
    try:
        if contents.startswith(b"PK"):
            raise ValueError("it is the newer zip format")
        return _read_tensors(contents)
    except Exception as error:
        # A damaged pickle can fail with almost any built-in exception.
        raise ValueError(
            "A legacy PyTorch state_dict was expected. Received: "
            f"{path}, which could not be read: {str(error) or repr(error)}. "
            "Use a whole file saved by PyTorch 1.5 or older, or with "
            "_use_new_zipfile_serialization=False, that holds tensors only."
        ) from error


class _Storage(NamedTuple):
    key: str
    dtype: str
    size: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple


# The unpickler in Python keeps its memo in a dict; the one in C allocates
# whatever index a hostile file names.
class _Unpickler(pickle._Unpickler):
    """Unpickles containers of tensors; what it hands out is immutable.

    A pickle may also set attributes of what it names. It is given a bound
    method, strings and named tuples, which have none that can be set.
    """

    def __init__(self, file):
        super().__init__(file)
        self.storages = {}

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self.rebuild_tensor
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise pickle.UnpicklingError(f"its pickle names {module}.{name}")

    def persistent_load(self, pid):
        kind, dtype, key, _, size, view = pid
        if (
            kind != "storage"
            or dtype not in DTYPES.values()
            or not isinstance(key, str)
            or not _are_counts(size)
            or view is not None
        ):
            raise pickle.UnpicklingError("its pickle asks for no storage")
        storage = _Storage(key, dtype, size)
        if self.storages.setdefault(key, storage) != storage:
            raise pickle.UnpicklingError(f"storage {key!r} has two types")
        return storage

    def rebuild_tensor(self, storage, offset, shape, strides, *_):
        if not isinstance(storage, _Storage) or not _are_counts(
            offset, *shape, *strides
        ):
            raise pickle.UnpicklingError("its pickle describes no tensor")
        return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _are_counts(*numbers):
    return all(isinstance(n, int) and n >= 0 for n in numbers)


def _read_tensors(contents):
    file = io.BytesIO(contents)
    if _Unpickler(file).load() != MAGIC_NUMBER:
        raise ValueError("it does not start with PyTorch's magic number")
    version = _Unpickler(file).load()
    machine = _Unpickler(file).load()
    if version != PROTOCOL_VERSION or machine["little_endian"] is not True:
        raise ValueError("it has another version, or big-endian numbers")
    unpickler = _Unpickler(file)
    tensors = unpickler.load()
    order = _Unpickler(file).load()
    if sorted(order) != sorted(unpickler.storages):
        raise ValueError("its list of storages does not match its tensors")

    position = file.tell()
    values = {}
    for key in order:
        _, dtype, size = unpickler.storages[key]
        count = int(np.frombuffer(contents, "<i8", 1, position)[0])
        if count != size:
            raise ValueError(f"storage {key!r} has {count} of {size} numbers")
        # Raises when fewer bytes are left.
        values[key] = np.frombuffer(contents, dtype, size, position + 8)
        position += 8 + values[key].nbytes
    if position != len(contents):
        raise ValueError(f"{len(contents) - position} bytes follow its end")
    return {name: _to_array(name, tensors[name], values) for name in tensors}


def _to_array(name, tensor, values):
    if not isinstance(name, str):
        raise ValueError("a name in it is no text")
    if not isinstance(tensor, _Tensor):
        raise ValueError(f"its entry {name!r} is no tensor")
    storage, offset, shape, strides = tensor
    flat = values[storage.key]
    size = math.prod(shape)
    last = offset + sum(
        (n - 1) * stride for n, stride in zip(shape, strides, strict=True)
    )
    # More elements than numbers: overlapping rows, a way to fill the memory.
    if size > flat.size or (size and last >= flat.size):
        raise ValueError(f"tensor {name!r} reaches outside its storage")
    return np.lib.stride_tricks.as_strided(
        flat[offset:],
        shape,
        [stride * flat.itemsize for stride in strides],
        writeable=False,
    ).copy()
