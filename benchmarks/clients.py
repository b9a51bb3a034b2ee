"""MediaPipe's scores beside ours, on test photos and a shipped int8 file.

MediaPipe runs in the environment that `make clients` made, without TensorFlow
and Keras. Both get the same pixels of the model's size.

Run: python benchmarks/clients.py ../shared/data/grocery81
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from results import append_row

from mamc_keras import lite

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "clients.csv"
PYTHON = HERE.parent / ".venv-clients" / "bin" / "python"
CLIENT = HERE.parent / "tests" / "clients" / "mediapipe_client.py"
MODEL = HERE.parent / "saved_models" / "grocery81_lite0" / "model_int8.tflite"
PHOTOS = 8


def mediapipe(images):
    """Dict of scores by class name, for each image."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "images.npy"
        np.save(file, images)
        done = subprocess.run(
            [PYTHON, CLIENT, "classify", MODEL, file],
            capture_output=True,
            check=True,
        )
    return json.loads(done.stdout)


def main(folder):
    files = sorted((Path(folder) / "test").rglob("*.jpg"))
    files = [
        files[i] for i in np.linspace(0, len(files) - 1, PHOTOS, dtype=int)
    ]
    classifier = lite.Classifier(MODEL)
    images = [
        lite.resize(lite.read_image(file), classifier.image_size)
        for file in files
    ]
    for file, image, theirs in zip(
        files, images, mediapipe(images), strict=True
    ):
        ours = dict(classifier.top(image, len(classifier.class_names)))
        best = max(theirs, key=theirs.get)
        largest = max(abs(theirs[name] - ours[name]) for name in ours)
        append_row(
            RESULTS,
            {
                "photo": f"{file.parent.name}/{file.name}",
                "mediapipe": best,
                "mediapipe_score": f"{theirs[best]:.4f}",
                "ours": max(ours, key=ours.get),
                "our_score": f"{max(ours.values()):.4f}",
                "largest_difference": f"{largest:.4f}",
            },
        )


if __name__ == "__main__":
    main(sys.argv[1])
