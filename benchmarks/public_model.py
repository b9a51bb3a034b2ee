"""Our bird model beside a public one for phones, on the species of both.

The public model is Google Coral's MobileNetV2 for 964 birds of iNaturalist
(github.com/google-coral/test_data, Apache-2.0: the files
mobilenet_v2_1.0_224_inat_bird_quant.tflite and inat_bird_labels.txt). It has
seen far more photos than ours, of far more species, and none of this set: the
comparison says what a folder of one's own photos is worth, not which network
is better. "top1" is among the species that both know, "top1_open" among all
of a model's classes. Photos are cut and shrunk alike for both.

Run: python benchmarks/public_model.py ../shared/data/cub50 PUBLIC.tflite \
         PUBLIC_LABELS.txt OURS_int8.tflite
"""

import re
import statistics
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from results import append_row

from mamc_keras import lite
from mamc_keras.export.benchmark import latency

RESULTS = Path(__file__).parent / "results" / "public_model.csv"
# The set's short names.
FULL_NAMES = {
    "cardinal": "northern cardinal",
    "frigatebird": "magnificent frigatebird",
}
TURNS = 9


def common_name(text):
    """'001.Brewer_Blackbird', "Euphagus (Brewer's Blackbird)": one name."""
    latin = re.search(r"\((.*)\)", text)
    name = latin[1] if latin else re.sub(r"^\d+\.", "", text)
    name = re.sub(r"[^a-z]+", " ", name.lower().replace("'s", "")).strip()
    return FULL_NAMES.get(name, name)


class Public:
    """The public file: uint8 pixels in, uint8 scores out."""

    def __init__(self, path, labels):
        self._interpreter = Interpreter(str(path), num_threads=1)
        self._interpreter.allocate_tensors()
        (self._input,) = self._interpreter.get_input_details()
        (self._output,) = self._interpreter.get_output_details()
        self.image_size = tuple(self._input["shape"][1:3])
        self.class_names = labels.read_text("utf-8").splitlines()

    def predict(self, photo):
        image = lite.resize(lite.read_image(photo), self.image_size)
        self._interpreter.set_tensor(self._input["index"], image[None])
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output["index"])[0]


def main(folder, public, labels, ours):
    models = {
        public: Public(public, labels),
        ours: lite.Classifier(ours, num_threads=1),
    }
    names = {
        path: [common_name(name) for name in model.class_names]
        for path, model in models.items()
    }
    both = set(names[public]) & set(names[ours])
    photos = [
        photo
        for photo in sorted((folder / "test").glob("*/*.jpg"))
        if common_name(photo.parent.name) in both
    ]
    times = {path: [] for path in models}
    for _ in range(TURNS):
        for path, found in times.items():
            found.append(latency(path)["median_ms"])
    for path, model in models.items():
        shared = np.isin(names[path], list(both))
        right, right_open = [], []
        for photo in photos:
            scores = model.predict(photo).astype(float)
            truth = common_name(photo.parent.name)
            right_open.append(names[path][scores.argmax()] == truth)
            scores[~shared] = -1
            right.append(names[path][scores.argmax()] == truth)
        append_row(
            RESULTS,
            {
                "model": path.name,
                "classes": len(names[path]),
                "shared_classes": len(both),
                "photos": len(photos),
                "top1": f"{np.mean(right):.4f}",
                "top1_open": f"{np.mean(right_open):.4f}",
                "megabytes": f"{path.stat().st_size / 1e6:.2f}",
                "median_ms_1_threads": f"{statistics.median(times[path]):.2f}",
            },
        )


if __name__ == "__main__":
    folder, *files = map(Path, sys.argv[1:])
    main(folder, *files)
