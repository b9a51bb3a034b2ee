"""What the loss of a large batch costs: the whole matrix, or row blocks.

Every run is a process of its own, so that its peak memory is its own: what
came on top of TensorFlow and a warm-up on a few images. Forward and backward
of the three terms, as a graph and compiled by XLA, which is what `fit` does
on one device. "direct" keeps the anchors-by-anchors matrix whole and is
skipped where that would take more than 8 GB; "blocks" is what the package
does, with the batch size known to the graph or not. Other work on the machine
slows a run: compare ratios.

Run: python benchmarks/large_batches.py [--repeats 3]
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
from memory import peak_mb
from results import append_row
from results import is_done

RESULTS = Path(__file__).parent / "results" / "large_batches.csv"
IMAGES, ATTENTIONS, SIZE = (256, 1024, 2048, 4096), (2, 4), 512
FORMS = (("direct", "known", 0), ("direct", "known", 1))
FORMS += (("blocks", "known", 0), ("blocks", "unknown", 0))
FORMS += (("blocks", "unknown", 1),)
MOST_BYTES, MATRICES = 8e9, 12  # matrices that the direct form was seen to take
LARGE = 4 * 8192**2  # bytes of a matrix from which one repeat is enough


def measure(images, attentions, form, batch_size, xla, repeats, bound=None):
    """Runs the loss and its gradient, and returns a row of numbers.

    Args:
        images: int, two of each class.
        attentions: int.
        form: `"direct"` or `"blocks"`.
        batch_size: `"known"` or `"unknown"` to the graph.
        xla: bool.
        repeats: int. The median of the seconds counts.
        bound: int, bytes. Instead of the package's `MATRIX_BYTES`.
    """
    import tensorflow as tf

    from mamc_keras import mamc_loss

    def in_one(terms, embeddings, anchors, _):
        return terms(embeddings, anchors)

    if form == "direct":
        mamc_loss._in_blocks = in_one
    if bound:
        mamc_loss.MATRIX_BYTES = bound

    def step(labels, embeddings):
        terms = mamc_loss.mamc_terms(labels, embeddings)
        value = sum(terms.values())
        return value, tf.gradients(value, embeddings)[0]

    def compiled(size):
        size = size if batch_size == "known" else None
        labels = tf.TensorSpec([size], "int32")
        embeddings = tf.TensorSpec([size, attentions, SIZE], "float32")
        return tf.function(step, [labels, embeddings], jit_compile=xla)

    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(images // 2), 2).astype("int32")
    embeddings = rng.normal(size=(images, attentions, SIZE)).astype("float32")
    labels, embeddings = tf.constant(labels), tf.constant(embeddings)
    compiled(8)(labels[:8], embeddings[:8])
    run, before, seconds = compiled(images), peak_mb(), []
    run.get_concrete_function()
    for turn in range(repeats + 1):
        start = time.perf_counter()
        value, gradient = run(labels, embeddings)
        value = float(value + 0 * gradient[0, 0, 0])  # waits for both
        # The first turn of a large batch counts when it is the only one.
        if turn or (repeats == 1 and not xla):
            seconds.append(time.perf_counter() - start)
        if len(seconds) == repeats:
            break
    return {
        "images": images,
        "attentions": attentions,
        "size": SIZE,
        "form": form,
        "batch_size": batch_size,
        "xla": int(xla),
        "peak_mb": round(peak_mb() - before),
        "seconds": f"{statistics.median(seconds):.3f}",
        "loss": f"{value:.5f}",
        "skipped": "",
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--images", type=int, nargs="+", default=IMAGES)
    parser.add_argument("--attentions", type=int, nargs="+", default=ATTENTIONS)
    parser.add_argument("--bound", type=int, help="bytes of a block's matrix")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        images, attentions, form, batch_size, xla = options.one
        row = measure(
            int(images),
            int(attentions),
            form,
            batch_size,
            bool(int(xla)),
            options.repeats,
            options.bound,
        )
        append_row(options.out, row)
        return
    sizes = itertools.product(options.images, options.attentions, FORMS)
    for images, attentions, (form, batch_size, xla) in sizes:
        key = {
            "images": images,
            "attentions": attentions,
            "size": SIZE,
            "form": form,
            "batch_size": batch_size,
            "xla": xla,
        }
        if not is_done(options.out, **key):
            run_one(key, options)


def run_one(key, options):
    """Measures in a new process, or says why not, and adds the row."""
    matrix = 4 * (key["images"] * key["attentions"]) ** 2
    skipped = ""
    if key["form"] == "direct" and MATRICES * matrix > MOST_BYTES:
        skipped = f"would take about {MATRICES * matrix / 1e9:.0f} GB"
    elif key["form"] == "blocks" and key["batch_size"] == "known":
        if matrix <= (options.bound or 2**26):
            skipped = "fits in one block: the direct form"
    if skipped:
        row = {**key, "peak_mb": "", "seconds": "", "loss": ""}
        append_row(options.out, {**row, "skipped": skipped})
        return
    one = [key[k] for k in ("images", "attentions", "form", "batch_size")]
    repeats = 1 if matrix >= LARGE else options.repeats
    command = [sys.executable, __file__, "--repeats", repeats]
    command += ["--out", options.out, "--one", *one, key["xla"]]
    if options.bound:
        command += ["--bound", options.bound]
    subprocess.run([str(part) for part in command], check=True)
    print(*key.values(), flush=True)


if __name__ == "__main__":
    main()
