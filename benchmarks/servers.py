"""Photos a second of the SavedModel and of ONNX, beside `model.predict`.

All in one process, in turns, on photos of the model's size; medians. The
first call of each traces or warms up and is told apart. Run it while nothing
else runs.

Run: python benchmarks/servers.py RUN_OR_PRESET   (results/servers.csv)
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow leaves oneDNN off on CPUs without AVX-512; it is faster there too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import numpy as np
import onnxruntime
import tensorflow as tf
from results import append_row

from mamc_keras.evaluation.evaluate import load_model
from mamc_keras.export.litert import synthetic_images
from mamc_keras.export.onnx import export_onnx
from mamc_keras.export.saved_model import export_saved_model

RESULTS = Path(__file__).parent / "results" / "servers.csv"
BATCHES = (1, 8, 32)
PHOTOS, TURNS = 96, 5


def seconds_of(function, photos, batch_size):
    started = time.perf_counter()
    for i in range(0, len(photos), batch_size):
        function(photos[i : i + batch_size])
    return time.perf_counter() - started


def main(path):
    model = load_model(path)
    photos = np.resize(
        synthetic_images(model.image_size), (PHOTOS, *model.image_size, 3)
    )
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        saved = tf.saved_model.load(
            str(export_saved_model(model, folder / "saved"))
        )
        onnx = onnxruntime.InferenceSession(
            str(export_onnx(model, folder / "model.onnx")),
            providers=["CPUExecutionProvider"],
        )
        name = onnx.get_inputs()[0].name
        ways = {
            "model.predict": lambda x: model.predict(
                x, batch_size=len(x), verbose=0
            ),
            "SavedModel": lambda x: saved.serve(tf.constant(x)).numpy(),
            "ONNX": lambda x: onnx.run(None, {name: x}),
        }
        for batch_size in BATCHES:
            first = {
                way: seconds_of(function, photos[:batch_size], batch_size)
                for way, function in ways.items()
            }
            times = {way: [] for way in ways}
            for _ in range(TURNS):
                for way, function in ways.items():
                    times[way].append(seconds_of(function, photos, batch_size))
            medians = {way: statistics.median(t) for way, t in times.items()}
            for way, seconds in medians.items():
                row = {
                    "batch_size": batch_size,
                    "way": way,
                    "ratio": f"{medians['model.predict'] / seconds:.2f}",
                    "photos_a_second": f"{PHOTOS / seconds:.1f}",
                    "first_seconds": f"{first[way]:.2f}",
                }
                append_row(RESULTS, row)
                print(row, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
