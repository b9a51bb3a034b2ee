"""Weight files of half the size."""

import h5py
import numpy as np

from mamc_keras.files import atomic_path

LARGEST = float(np.finfo(np.float16).max)


def halve_weights(preset):
    """Rewrites the kernels of a preset in float16; loading needs no change.

    Vectors stay float32: they are small, and the variances of normalisation
    layers lie where float16 has few digits.

    Args:
        preset: `Path` of a preset folder.

    Raises:
        ValueError: when a weight is too large for float16.
    """
    for file in sorted(preset.glob("*.weights.h5")):
        with atomic_path(file) as temporary:
            with h5py.File(file) as old, h5py.File(temporary, "w") as new:
                _copy(old, new)


def _copy(old, new):
    new.attrs.update(old.attrs)
    for name, item in old.items():
        if isinstance(item, h5py.Group):
            _copy(item, new.create_group(name))
            continue
        array = item[()]
        if array.ndim > 1 and array.dtype == np.float32:
            largest = float(np.abs(array).max(initial=0))
            if not largest <= LARGEST:
                raise ValueError(
                    f"A weight does not fit into float16. Received: {item.name}"
                    f" with {largest}. Share the preset in full precision."
                )
            array = array.astype(np.float16)
        new.create_dataset(name, data=array).attrs.update(item.attrs)
