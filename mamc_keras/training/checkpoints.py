"""Everything that a run needs to go on, in one file a checkpoint."""

import dataclasses
import json
import logging
import zipfile
import zlib
from pathlib import Path

import keras
import numpy as np

from mamc_keras.files import atomic_path

KEPT = 2  # A damaged newest one falls back to the one before.
_DAMAGES = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)

_log = logging.getLogger("mamc_keras")


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Where a run is and all numbers that its next step depends on.

    Args:
        epoch: int. Epochs that are done.
        step: int. Batches of the next epoch that are done.
        data: str. Fingerprint of the training images.
        seconds: float. Time that the run took so far.
        history: list of dict, one an epoch.
        arrays: dict of name to array: weights, dropout's generators, the
            optimiser's slots, step count, averages and loss scale, and the
            running metrics of the epoch.
    """

    epoch: int
    step: int
    data: str
    seconds: float
    history: list
    arrays: dict


def write(folder, checkpoint):
    """Writes a checkpoint whole or not at all, and removes all but `KEPT`.

    Args:
        folder: `Path`.
        checkpoint: `Checkpoint`.

    Returns:
        `Path` of the file.
    """
    name = f"epoch-{checkpoint.epoch:05d}-step-{checkpoint.step:08d}.npz"
    fields = dict(vars(checkpoint))  # asdict would copy every array.
    arrays = fields.pop("arrays")
    with atomic_path(folder / name) as temporary:
        # The names too: a damaged table of contents may lose some silently.
        fields["names"] = sorted(arrays)
        np.savez(temporary, state=np.array(json.dumps(fields)), **arrays)
    for old in _files(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return folder / name


def newest(folder):
    """Reads the newest checkpoint that is whole.

    Args:
        folder: `Path`.

    Returns:
        A `Checkpoint`, or `None` when there is none to read.
    """
    for file in _files(folder):
        try:
            return _read(file)
        except _DAMAGES:
            _log.warning(
                "The checkpoint %s is damaged and is passed over.",
                file.name,
            )
    return None


def _files(folder):
    """Checkpoint files, the newest first."""
    return sorted(Path(folder).glob("epoch-*.npz"), reverse=True)


def _read(file):
    # Every member of the archive has a checksum, which reading it compares.
    with np.load(file, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    fields = json.loads(str(arrays.pop("state")))
    if fields.pop("names") != sorted(arrays):
        raise ValueError("Some arrays are missing.")
    return Checkpoint(arrays=arrays, **fields)


def snapshot(model, metrics=True):
    """Copies all numbers that a model's next step depends on.

    Args:
        model: compiled `keras.Model` with a built optimiser.
        metrics: bool. With the running metrics, which an epoch starts anew.

    Returns:
        dict of name to array.
    """
    variables = _variables(model, metrics)
    # A copy: on CPUs the array may be the variable's own memory.
    return {
        name: np.array(keras.ops.convert_to_numpy(value))
        for name, value in variables.items()
    }


def restore(model, arrays):
    """Puts a snapshot back.

    Args:
        model: `keras.Model`, built and compiled like the one it came from.
        arrays: dict from `snapshot`.

    Raises:
        ValueError: when the model has other variables.
    """
    metrics = any(name.startswith("metric-") for name in arrays)
    variables = _variables(model, metrics)
    shapes = {name: tuple(v.shape) for name, v in variables.items()}
    stored = {name: array.shape for name, array in arrays.items()}
    if shapes != stored:
        differ = sorted({*shapes.items()} ^ {*stored.items()})
        raise ValueError(
            "The checkpoint belongs to another model. Received: "
            f"{len(stored)} arrays for {len(shapes)} variables; the first "
            f"that differs is {differ[0]}. The code, Keras or the data have "
            "changed since; start a new run."
        )
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _variables(model, metrics):
    # Numbered, because a name such as dense_3 depends on what was built
    # before in the same process.
    groups = {
        "weight": model.variables,
        "optimizer": model.optimizer.variables,
        "metric": model.metrics_variables if metrics else (),
    }
    return {
        f"{group}-{i}": variable
        for group, variables in groups.items()
        for i, variable in enumerate(variables)
    }
