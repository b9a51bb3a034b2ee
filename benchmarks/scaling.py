"""How many bytes do replicas exchange in one training step?

A small network takes one step under a MirroredStrategy of 2 to 4 parts of the
CPU, eagerly, and what TensorFlow is asked to gather or to add up is counted:
the embeddings, the gradient that comes back to them, the gradients of the
weights, and the rest (labels, sizes, metrics). `expected` is the formula that
docs/scaling.md projects with. One CSV row a setting.

Run: python benchmarks/scaling.py
"""

import argparse
import math
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import tensorflow as tf
from results import append_row

from mamc_keras import MAMCImageClassifier

RESULTS = Path(__file__).parent / "results" / "scaling.csv"
# replicas, images of the whole batch, attentions, embedding size
SETTINGS = ((2, 8, 2, 16), (2, 16, 2, 16), (2, 8, 4, 16), (2, 8, 2, 64))
SETTINGS += ((3, 12, 2, 16), (4, 16, 2, 16), (4, 10, 2, 16))
IMAGE = 16


class CountingOps(tf.distribute.ReductionToOneDevice):
    """Notes kind, shape and bytes of everything that crosses replicas."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def reduce_implementation(self, reduce_op, value, *args, **kwargs):
        self._note("sum", value)
        return super().reduce_implementation(reduce_op, value, *args, **kwargs)

    def batch_reduce_implementation(self, reduce_op, pairs, options):
        # Taken apart by the base class into single reductions.
        return super().batch_reduce_implementation(reduce_op, pairs, options)

    def _gather_implementation(self, value, *args, **kwargs):
        self._note("gather", value)
        return super()._gather_implementation(value, *args, **kwargs)

    def _note(self, kind, value):
        parts = [tf.convert_to_tensor(part) for part in value.values]
        sizes = [math.prod(p.shape) * p.dtype.size for p in parts]
        total = sum(sizes) if kind == "gather" else sizes[0]
        self.seen.append((kind, tuple(parts[0].shape), total))


def count(replicas, images, attentions, size):
    """Counts one step and returns a row of bytes."""
    operations = CountingOps()
    devices = [f"CPU:{i}" for i in range(replicas)]
    strategy = tf.distribute.MirroredStrategy(devices, operations)
    with strategy.scope():
        image = keras.Input((IMAGE, IMAGE, 3))
        x = keras.layers.Conv2D(8, 3, 4, activation="relu")(image)
        model = MAMCImageClassifier(
            keras.Model(image, x),
            5,
            num_attentions=attentions,
            embedding_dim=size,
        )
        model.compile(optimizer=keras.optimizers.SGD(0.1), run_eagerly=True)
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(images, IMAGE, IMAGE, 3)).astype("float32")
    labels = np.arange(images, dtype="int64") // 2 % 5
    data = tf.data.Dataset.from_tensors((pixels, labels))
    model.fit(data.repeat(2), steps_per_epoch=1, epochs=1, verbose=0)
    operations.seen.clear()
    model.fit(data, epochs=1, verbose=0)

    shapes = [tuple(w.shape) for w in model.trainable_weights]
    bytes_of = {"gathered": 0, "returned": 0, "weights": 0, "rest": 0}
    for kind, shape, size_in_bytes in operations.seen:
        if len(shape) == 3 and shape[1:] == (attentions, size):
            name = "gathered" if kind == "gather" else "returned"
        elif kind == "sum" and shape in shapes and shape:
            name = "weights"
        else:
            name = "rest"
        bytes_of[name] += size_in_bytes
    embeddings = 4 * images * attentions * size
    return {
        "replicas": replicas,
        "images": images,
        "attentions": attentions,
        "size": size,
        **bytes_of,
        "expected_embeddings": embeddings,
        "expected_weights": 4 * sum(math.prod(shape) for shape in shapes),
    }


def split_cpu(parts):
    """Lets the CPU act as several devices; before anything else runs."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * parts
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    split_cpu(max(setting[0] for setting in SETTINGS))
    options.out.unlink(missing_ok=True)
    for setting in SETTINGS:
        row = count(*setting)
        append_row(options.out, row)
        print(*row.values(), flush=True)


if __name__ == "__main__":
    main()
