"""Does training work on this machine's GPUs? One table, then exit code 0 or 1.

Compares a few steps of training: a GPU with the CPU, several GPUs with one,
half precision and XLA with neither. Float32 products are exact here (TF32 is
off for the comparisons, and back on for the times). Then the time of a step
of ResNet-50 at 224 px, batch 32, beside a plain softmax. Without a GPU it
says so and ends with exit code 2.

Run: make check-gpu   (or: python benchmarks/check_gpu.py [--cpu])
"""

import argparse
import contextlib
import dataclasses
import os
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from markdown import table

from mamc_keras import MAMCImageClassifier
from mamc_keras.devices import strategy

CLASSES = 200
NAMES = ("3 pairs", "5 pairs", "statistics", "mixed_bfloat16")


def equality(counts, beside_cpu, names=NAMES):
    """Yields lines of the table: the same training in other ways.

    Args:
        counts: iterable of int. Numbers of devices beside one.
        beside_cpu: bool. Compares one device with the CPU too.
        names: tuple of str, rows of benchmarks/replicas.py.
    """
    from replicas import ROWS

    plain = ROWS["3 pairs"]
    if beside_cpu:
        cpu = tf.distribute.OneDeviceStrategy("CPU:0").scope()
        # The two add up in another order, layer after layer.
        yield compared("one GPU, CPU", plain, cpu, plain, 1e-4)
    xla, no_xla = (
        dataclasses.replace(plain, compile={"jit_compile": on})
        for on in (True, False)
    )
    yield compared("XLA, no XLA", xla, None, no_xla, 1e-4)
    for dtype in ("mixed_bfloat16", "mixed_float16"):
        yield learns(dtype)
    for count in counts:
        for name in names:
            row, scope = ROWS[name], strategy(count).scope()
            allowed = max(row.tolerance, 1e-5)
            what = f"{count} devices, one: {name}"
            yield compared(what, row, scope, row, allowed)


def compared(what, row, scope, other, allowed):
    """Trains one row under a scope, the other without, and compares weights."""
    from replicas import difference
    from replicas import train

    try:
        first = train(row, scope or contextlib.nullcontext())[0]
        second = train(other, contextlib.nullcontext())[0]
    # One check that cannot run must not hide the others.
    except Exception as error:
        return broken(what, error)
    found = difference(first, second)
    verdict = "ok" if found <= allowed else "FAILED"
    return [what, f"weights differ by {found:.1e}", f"{allowed:g}", verdict]


def learns(dtype):
    """Trains in half precision; the loss must stay finite and fall."""
    from replicas import ROWS
    from replicas import train

    # Loss scaling skips the first steps of float16, so weights say nothing.
    row = dataclasses.replace(ROWS[dtype], epochs=6)
    try:
        losses = train(row, contextlib.nullcontext())[1]["loss"]
    except Exception as error:
        return broken(dtype, error)
    fell = np.all(np.isfinite(losses)) and losses[-1] < losses[0]
    result = f"loss {losses[0]:.3f} to {losses[-1]:.3f}"
    return [dtype, result, "falls", "ok" if fell else "FAILED"]


def broken(what, error):
    """The line of a check that ended with an error."""
    lines = str(error).strip().split("\n")
    reason = f"{type(error).__name__}: {lines[0][:100]}"
    return [what, reason.replace("|", "/"), "", "FAILED"]


def step_times(small):
    """Yields lines of the table: the time of a step, several ways.

    Args:
        small: bool. A small network and batch in float32, for a CPU.
    """
    dtypes = ("float32", "mixed_bfloat16", "mixed_float16")
    for dtype in dtypes[: 1 if small else 3]:
        for xla in (False, True):
            what = f"step, {dtype}{', XLA' if xla else ''}"
            try:
                plain, ours = timed(small, dtype, xla)
            except Exception as error:
                yield broken(what, error)
                continue
            times = f"{ours:.1f} ms, plain softmax {plain:.1f} ms"
            yield [what, times, "", f"{ours / plain:.2f}"]


def timed(small, dtype, xla, steps=10):
    """Medians, in milliseconds, of a step of plain softmax and of ours."""
    side, batch = (32, 8) if small else (224, 32)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(batch, side, side, 3)).astype("float32")
    labels = np.arange(batch) // 2 % CLASSES
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        models = [build(small, side) for build in (plain_softmax, osme_mamc)]
    finally:
        keras.config.set_dtype_policy(before)
    for model in models:
        model.compile(
            keras.optimizers.SGD(0.01),
            keras.losses.SparseCategoricalCrossentropy(True),
            jit_compile=xla,
        )
        model.train_on_batch(images, labels)
    seconds = [[], []]
    # In turns, so that a slow moment of the machine hits both.
    for _ in range(steps):
        for model, times in zip(models, seconds, strict=True):
            start = time.perf_counter()
            model.train_on_batch(images, labels)
            times.append(time.perf_counter() - start)
    return [1e3 * statistics.median(times) for times in seconds]


def network(small, side):
    """A convolutional network without weights of its own to download."""
    if not small:
        return keras.applications.ResNet50(
            include_top=False, weights=None, input_shape=(side, side, 3)
        )
    image = keras.Input((side, side, 3))
    return keras.Model(image, keras.layers.Conv2D(8, 3, 4)(image))


def plain_softmax(small, side):
    backbone = network(small, side)
    x = keras.layers.GlobalAveragePooling2D()(backbone.output)
    logits = keras.layers.Dense(CLASSES, dtype="float32")(x)
    return keras.Model(backbone.input, logits)


def osme_mamc(small, side):
    return MAMCImageClassifier(network(small, side), CLASSES)


def device_names(gpus):
    """Yields lines of the table: what was found."""
    for i, gpu in enumerate(gpus):
        details = tf.config.experimental.get_device_details(gpu)
        name = details.get("device_name", gpu.name)
        major, minor = details.get("compute_capability", ("?", "?"))
        yield [f"GPU {i}", name, "", f"compute {major}.{minor}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--cpu", action="store_true", help="try it out without a GPU"
    )
    options = parser.parse_args()
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus and not options.cpu:
        print(
            "TensorFlow finds no GPU on this machine, so nothing was checked. "
            "On a machine with an NVIDIA GPU, install mamc_keras[gpu], see "
            "that nvidia-smi lists it, and run this again.",
            file=sys.stderr,
        )
        return 2
    if options.cpu:
        tf.config.set_visible_devices([], "GPU")
        gpus = []
        strategy(2)  # Splits the CPU before anything runs on it.
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    import replicas  # noqa: F401

    if hidden is None:  # the import hides all GPUs
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    lines = [["TensorFlow", tf.__version__, "", ""], *device_names(gpus)]
    counts = range(2, max(len(gpus), 2 if options.cpu else 1) + 1)
    tf.config.experimental.enable_tensor_float_32_execution(False)
    names = NAMES[:1] if options.cpu else NAMES
    for line in equality(counts, bool(gpus), names):
        lines.append(line)
        print(*line, file=sys.stderr, flush=True)
    tf.config.experimental.enable_tensor_float_32_execution(True)
    if len(gpus) == 1:
        lines.append(["several devices", "one GPU: not checked", "", "-"])
    for line in step_times(small=options.cpu):
        lines.append(line)
        print(*line, file=sys.stderr, flush=True)
    print(table(("check", "result", "allowed", "verdict"), lines))
    return int(any(line[-1] == "FAILED" for line in lines))


if __name__ == "__main__":
    sys.exit(main())
