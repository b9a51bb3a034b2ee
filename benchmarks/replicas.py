"""Do 2, 3 and 4 replicas learn what one learns? One row a configuration.

Every configuration trains a small network for a few steps on one device and
on parts of the CPU that act as 2, 3 and 4 devices. The table shows the
largest difference of any weight, BatchNormalization's statistics included,
and of any number in the history; or the sentence that refuses it.

What stands in the CSV is not measured again. Takes 10 minutes of two cores.

Run: python benchmarks/replicas.py [--rows clipnorm ...] [--replicas 2 3 4]
"""

import argparse
import contextlib
import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow leaves oneDNN off on CPUs without AVX-512; elsewhere it is on.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import tensorflow as tf
from results import append_row
from results import is_done
from rival_losses import SupervisedContrastive

from mamc_keras import MAMCImageClassifier
from mamc_keras.devices import strategy
from mamc_keras.models.encoder import batch_norms
from mamc_keras.models.replicas import EMPTY

RESULTS = Path(__file__).parent / "results" / "replicas.csv"
CLASSES, SIZE, STEPS = 7, 32, 4
SGD = keras.optimizers.SGD


@dataclasses.dataclass(frozen=True)
class Row:
    """One configuration.

    Args:
        tolerance: float. Largest difference of a weight that passes.
        pairs: int. Classes of a batch, two images each.
        optimizer: callable without arguments.
        compile: dict of further arguments for `compile`.
        dtype: str.
        statistics: bool. BatchNormalization trains, synchronised.
        depth: int. Convolutions.
        regularizer: str or `None`, of their weights.
        mamc_loss: callable without arguments, or `None`.
        weights: `"image"`, `"class"` or `None`.
        ragged: bool. The batch size is unknown, the last batch smaller.
        epochs: int.
        predicts: bool. Compares `evaluate` and `predict` too, on 9 images in
            batches of 4: the last batch has no image for most replicas.
        refused: bool. An error is what should come.
    """

    tolerance: float = 1e-6
    pairs: int = 3
    optimizer: Callable = lambda: SGD(0.05)
    compile: dict = dataclasses.field(default_factory=dict)
    dtype: str = "float32"
    statistics: bool = False
    depth: int = 2
    regularizer: str | None = None
    mamc_loss: Callable | None = None
    weights: str | None = None
    ragged: bool = False
    epochs: int = 1
    predicts: bool = False
    refused: bool = False


def sgd(**options):
    return lambda: SGD(0.05, **options)


def two_rates():
    """The optimizer of a recipe: two rates along a cosine."""
    cosine = keras.optimizers.schedules.CosineDecay
    rates = keras.optimizers.OptimizerMap(
        keras.optimizers.AdamW(cosine(3e-4, 8), weight_decay=0.01)
    )
    rates["(.*/)?(osme|predictions)/.*"] = keras.optimizers.AdamW(
        cosine(1e-3, 8), weight_decay=0.01
    )
    return keras.optimizers.MultiOptimizer(rates)


def two_rates_clipped():
    rates = keras.optimizers.OptimizerMap(SGD(0.05, global_clipnorm=0.1))
    rates["(.*/)?(osme|predictions)/.*"] = SGD(0.1, clipnorm=0.05)
    return keras.optimizers.MultiOptimizer(rates)


def accumulated():
    """Clipped, decayed and averaged along a schedule, every second step."""
    return keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(1e-3, 8),
        weight_decay=0.01,
        global_clipnorm=0.1,
        use_ema=True,
        gradient_accumulation_steps=2,
    )


def contrast():
    return SupervisedContrastive(name="contrast")


CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy
ROWS = {
    "3 pairs": Row(predicts=True),
    "5 pairs": Row(pairs=5),
    "7 pairs": Row(pairs=7),
    "last batch smaller": Row(pairs=5, ragged=True),
    "image weights": Row(weights="image"),
    "class weights": Row(weights="class"),
    "weight decay": Row(pairs=5, optimizer=sgd(weight_decay=0.01)),
    "regularised weights": Row(pairs=5, regularizer="l2"),
    "another embedding loss": Row(pairs=5, mamc_loss=contrast),
    "another loss, image weights": Row(
        pairs=5, mamc_loss=contrast, weights="image"
    ),
    "momentum, averaged weights": Row(
        optimizer=sgd(momentum=0.9, use_ema=True)
    ),
    "clipnorm": Row(pairs=5, optimizer=sgd(clipnorm=0.05)),
    "global_clipnorm": Row(pairs=5, optimizer=sgd(global_clipnorm=0.1)),
    "clipvalue": Row(pairs=5, optimizer=sgd(clipvalue=0.01)),
    "accumulation": Row(optimizer=sgd(gradient_accumulation_steps=2)),
    "accumulation with everything": Row(optimizer=accumulated, epochs=2),
    "two rates": Row(optimizer=two_rates, epochs=2),
    "two rates, clipped": Row(optimizer=two_rates_clipped),
    "steps_per_execution": Row(compile={"steps_per_execution": 3}),
    "loss summed": Row(
        compile={"loss": CROSS_ENTROPY(from_logits=True, reduction="sum")},
        optimizer=lambda: SGD(0.01),
    ),
    "eager": Row(compile={"run_eagerly": True}),
    "statistics": Row(pairs=5, statistics=True),
    "statistics, last batch smaller": Row(
        pairs=5, statistics=True, ragged=True, predicts=True
    ),
    "statistics, 6 images": Row(statistics=True, refused=True),
    "statistics, accumulation": Row(
        pairs=5, statistics=True, optimizer=sgd(gradient_accumulation_steps=2)
    ),
    "statistics, 12 layers": Row(
        pairs=5, statistics=True, depth=12, tolerance=1e-2
    ),
    "statistics, 12 layers, float64": Row(
        pairs=5, statistics=True, depth=12, dtype="float64", tolerance=1e-7
    ),
    "mixed_bfloat16": Row(dtype="mixed_bfloat16", tolerance=1e-2),
    "mixed_float16": Row(dtype="mixed_float16", epochs=4, tolerance=2e-2),
    "mixed_float16, clipped": Row(
        dtype="mixed_float16",
        epochs=4,
        optimizer=sgd(global_clipnorm=0.1),
        tolerance=2e-2,
    ),
    "mixed_float16, accumulation": Row(
        dtype="mixed_float16",
        epochs=4,
        optimizer=sgd(gradient_accumulation_steps=2),
        tolerance=2e-2,
    ),
    "jit_compile": Row(compile={"jit_compile": True}, refused=True),
    "mean_with_sample_weight": Row(
        compile={
            "loss": CROSS_ENTROPY(True, reduction="mean_with_sample_weight")
        },
        refused=True,
    ),
    "ema_overwrite_frequency": Row(
        optimizer=sgd(use_ema=True, ema_overwrite_frequency=2), refused=True
    ),
}


def network(depth, regularizer):
    """Convolutions with BatchNormalization; half the size after the first two.

    No biases: BatchNormalization takes them out again, and an adaptive
    optimizer would move them along the noise of a gradient that is zero.
    """
    image = x = keras.Input((SIZE, SIZE, 3))
    for i in range(depth):
        x = keras.layers.Conv2D(
            8, 3, 2 if i < 2 else 1, "same", use_bias=False
        )(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
    return keras.Model(image, x)


def training_data(row):
    """Images `(STEPS, B, SIZE, SIZE, 3)` and their labels, class by class."""
    rng = np.random.default_rng(0)
    labels = [
        np.repeat(rng.permutation(CLASSES)[: row.pairs], 2)
        for _ in range(STEPS)
    ]
    labels = np.stack(labels)
    colours = np.random.default_rng(99).uniform(-1, 1, (CLASSES, 3))
    images = colours[labels][:, :, None, None]
    images = images + rng.normal(0, 0.3, (*labels.shape, SIZE, SIZE, 3))
    return images.astype("float32"), labels


def train(row, scope):
    """Trains, and returns weights, dict of logs, predictions or `None`."""
    images, labels = training_data(row)
    data = [images, labels]
    if row.weights == "image":
        rng = np.random.default_rng(1)
        data += [rng.integers(0, 3, labels.shape).astype("float32")]
    if row.ragged:
        data = [array.reshape(-1, *array.shape[2:])[:-2] for array in data]
    dataset = tf.data.Dataset.from_tensor_slices(tuple(data))
    if row.ragged:
        dataset = dataset.batch(labels.shape[1])
    with scope:
        # Losses and optimizers count in floatx, whatever the policy is.
        keras.config.set_floatx(
            "float64" if row.dtype == "float64" else "float32"
        )
        keras.config.set_dtype_policy(row.dtype)
        keras.utils.set_random_seed(3)
        model = MAMCImageClassifier(
            network(row.depth, row.regularizer),
            CLASSES,
            embedding_dim=8,
            mamc_loss=row.mamc_loss and row.mamc_loss(),
        )
        if not row.statistics:
            for layer in batch_norms(model):
                layer.trainable = False
        model.compile(optimizer=row.optimizer(), **row.compile)
        keras.config.set_dtype_policy("float32")
    start = model.get_weights()
    weights = {k: 1 + k % 3 for k in range(CLASSES)}
    logs = model.fit(
        dataset,
        epochs=row.epochs,
        class_weight=weights if row.weights == "class" else None,
        verbose=0,
    ).history
    end = model.get_weights()
    if difference(start, end) < 1e-4:
        raise RuntimeError("The network did not learn: nothing is compared.")
    outputs = None
    if row.predicts:
        images = images.reshape(-1, *images.shape[2:])[:9]
        labels = labels.ravel()
        values = model.evaluate(
            images, labels[:9], batch_size=4, return_dict=True, verbose=0
        )
        logs.update({f"val_{name}": values[name] for name in values})
        outputs = [model.predict(images, batch_size=4, verbose=0)]
    return end, logs, outputs


def difference(left, right):
    """Largest difference between two lists of arrays; NaN stays NaN."""
    pairs = zip(left, right, strict=True)
    return float(np.max([np.abs(a - b).max() for a, b in pairs]))


def _arrays(logs):
    return [np.array(logs[name]) for name in sorted(logs)]


def compare(name, counts):
    """Yields the row of the table for each number of replicas."""
    row = ROWS[name]
    one = train(row, contextlib.nullcontext()) if counts else None
    for count in counts:
        result = {"configuration": name, "replicas": count}
        result.update(weights="", history="", tolerance="", refused="")
        try:
            several = train(row, strategy(count).scope())
        except (ValueError, tf.errors.InvalidArgumentError) as error:
            if not row.refused:
                raise
            # An error of a step comes with the names of all its operations.
            text = EMPTY if EMPTY in str(error) else str(error)
            yield {**result, "refused": text}
            continue
        result["tolerance"] = row.tolerance
        gaps = [difference(*map(_arrays, (one[1], several[1])))]
        if row.predicts:
            gaps.append(difference(one[2], several[2]))
        result["weights"] = f"{difference(one[0], several[0]):.1e}"
        result["history"] = f"{np.max(gaps):.1e}"
        yield result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--replicas", nargs="+", type=int, default=[2, 3, 4])
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    strategy(4)  # Splits the CPU before anything runs on it.
    # A quarter of the time goes into tidy messages otherwise.
    keras.config.disable_traceback_filtering()
    tf.debugging.disable_traceback_filtering()
    for name in options.rows:
        counts = [
            count
            for count in options.replicas
            if not is_done(options.out, configuration=name, replicas=count)
        ]
        for row in compare(name, counts):
            append_row(options.out, row)
            print(*row.values(), flush=True)
        keras.backend.clear_session()  # Frees the graphs.


if __name__ == "__main__":
    main()
