"""Puts a trained run into saved_models/: preset, int8 .tflite, model card.

Kernels are stored in float16 unless that changes more than one answer in a
thousand on the test split; results.csv counts them.
Only sets whose terms allow it are shipped (TERMS). Milliseconds are for one
photo on one CPU thread of the machine that ran this, after decoding.

Run: python benchmarks/ship.py RUN_FOLDER NAME   (after mamc evaluate, export)
     python benchmarks/ship.py --export NAME DATA_FOLDER   (calibration and
         .tflite anew)
"""

import csv
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from mamc_keras.data.pipeline import load_image
from mamc_keras.evaluation.evaluate import load_model
from mamc_keras.evaluation.predictions import Predictions
from mamc_keras.evaluation.predictions import predict_images
from mamc_keras.files import atomic_path
from mamc_keras.files import write_text
from mamc_keras.lite import Classifier
from mamc_keras.models.settings import crop_of
from mamc_keras.sharing.push import stage

SAVED = Path(__file__).parents[1] / "saved_models"
RESULTS = SAVED / "results.csv"
INT8 = "model_int8.tflite"
ADDED = "## Temperature and threshold"
MOST_CHANGED = 0.001  # of the test photos
TERMS = {
    "grocery81": (
        "mit",
        "The 81 fine-grained classes of fruit, vegetables and cartons of the "
        "[Grocery Store Dataset]"
        "(https://github.com/marcusklasson/GroceryStoreDataset), Klasson et "
        "al., WACV 2019, its own train and test split; photos MIT. The network "
        "started from Google's ImageNet weights of EfficientNet-Lite "
        "(Apache-2.0).",
    )
}


def milliseconds(classifier, photo, repeats=21):
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        classifier.predict(photo)
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times[1:])


def changed_answers(folder, before, images):
    """How many photos the shipped preset answers otherwise than the run's."""
    after = predict_images(load_model(folder), images)
    return int((after.predicted != before.predicted).sum())


def main(run, name):
    from mamc_keras.evaluation.evaluate import data_of

    run, folder = Path(run), SAVED / name
    recipe = json.loads((run / "recipe.json").read_text())
    images = Path(recipe["source"]).name
    license, data = TERMS[images]
    before = Predictions.load(run / "evaluation-test")
    test = data_of(run)["test"]
    for half in (True, False):
        stage(run, folder, name, license, data, half)
        changed = changed_answers(folder, before, test)
        if changed <= MOST_CHANGED * len(test):
            break
    (folder / "model.tflite").unlink(missing_ok=True)  # 4 times the size
    model = load_model(folder)
    photo = load_image(test.paths[0], model.image_size, crop_of(model))
    measures = json.loads((run / "evaluation-test/metrics.json").read_text())
    parity = json.loads((run / "export/parity.json").read_text())[INT8]
    size = sum(f.stat().st_size for f in folder.glob("*") if f.name != INT8)
    row = {
        "model": name,
        "set": images,
        "seed": recipe["seed"],
        "test_images": measures["images"],
        "top1_keras": f"{measures['top1']:.4f}",
        "top1_int8": f"{parity['accuracy_tflite']:.4f}",
        "recall@1_keras": f"{measures['recall@1']:.4f}",
        "weights": model.count_params(),
        "half_precision": half,
        "answers_changed": changed,
        "preset_mb": f"{size / 1e6:.2f}",
        "int8_mb": f"{parity['megabytes']:.2f}",
        "int8_ms": f"{milliseconds(Classifier(folder / INT8, 1), photo):.1f}",
        "commit": json.loads((run / "environment.json").read_text())["commit"],
    }
    write(row)


def export_again(name, source):
    """Writes calibration and .tflite of a shipped preset as today's code does.

    Its val photos chose the epoch too, so the calibration is a little too
    good to be true.
    """
    from mamc_keras.evaluation.calibration import calibrate
    from mamc_keras.evaluation.evaluate import data_of
    from mamc_keras.export.export import export

    folder = SAVED / name
    model, data = load_model(folder), data_of(folder, source)
    validation = predict_images(model, data["val"])
    model.calibration = calibrate(model, validation, data["train"])
    model.calibration.save(folder)
    with tempfile.TemporaryDirectory() as out:
        export(folder, out, source, variants=("int8",))
        parity = json.loads((Path(out) / "parity.json").read_text())[INT8]
        with atomic_path(folder / INT8) as file:
            shutil.copy(Path(out) / INT8, file)
    _add_to_card(folder / "README.md", model.calibration, parity)
    photo = load_image(data["test"].paths[0], model.image_size, crop_of(model))
    with RESULTS.open(newline="") as stream:
        (row,) = [r for r in csv.DictReader(stream) if r["model"] == name]
    row["top1_int8"] = f"{parity['accuracy_tflite']:.4f}"
    row["int8_mb"] = f"{parity['megabytes']:.2f}"
    time_ms = milliseconds(Classifier(folder / INT8, 1), photo)
    row["int8_ms"] = f"{time_ms:.1f}"
    write(row)


def _add_to_card(card, calibration, parity):
    text = card.read_text("utf-8").split(ADDED)[0].rstrip()
    write_text(
        card,
        f"""{text}

{ADDED}

The numbers above are without it: a temperature of
{calibration.temperature:.2f} and a threshold for photos of none of the
classes, from {calibration.images} validation photos, which chose the epoch too.
With the temperature the calibration error on the test photos is
{100 * parity["ece_keras"]:.1f} % (int8: {100 * parity["ece_tflite"]:.1f} %).
{100 * calibration.false_alarm_rate:.0f} % of photos of the known classes are
expected under the threshold.
""",
    )


def write(row):
    """Replaces the model's row, or adds one."""
    rows = []
    if RESULTS.exists():
        with RESULTS.open(newline="") as stream:
            rows = [r for r in csv.DictReader(stream) if r.keys() == row.keys()]
    rows = [r for r in rows if r["model"] != row["model"]] + [row]
    with atomic_path(RESULTS) as file, file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, row)
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda r: r["model"]))


if __name__ == "__main__":
    if sys.argv[1] == "--export":
        export_again(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
