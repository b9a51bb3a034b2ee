"""What a run leaves behind: one folder that explains itself."""

import csv
import dataclasses
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np

from mamc_keras.files import write_json
from mamc_keras.files import write_text

PACKAGES = ("keras", "tensorflow", "keras-hub", "keras-cv", "numpy")
# How a run is carried out, not what it computes.
MAY_CHANGE = ("checkpoint_steps", "cache_gb", "devices")


def new_path(run_dir):
    """Makes sure that a run folder is new.

    Args:
        run_dir: str or Path.

    Returns:
        `Path`.

    Raises:
        ValueError: when something is there already.
    """
    path = Path(run_dir)
    # A hidden folder is what a killed process was just writing.
    if path.is_file() or any(path.glob("[!.]*")):
        raise ValueError(
            f"A run is never written over another. Received: {str(path)!r}, "
            "which exists. Choose another --run-dir or remove it."
        )
    return path


def is_begun(run_dir):
    """Says whether a folder holds a run, finished or not.

    Args:
        run_dir: str or Path.

    Returns:
        bool.
    """
    return (Path(run_dir) / "recipe.json").is_file()


def is_finished(path):
    """Says whether all of a run has been written.

    Args:
        path: `Path` of the run folder.

    Returns:
        bool.
    """
    return (path / "metrics.json").is_file()


def check_same(path, recipe):
    """Makes sure that a run goes on as it began.

    Args:
        path: `Path` of the run folder.
        recipe: `Recipe`, with absolute paths.

    Raises:
        ValueError: when a field differs from the stored recipe's.
    """
    before = dataclasses.asdict(read_recipe(path))
    now = dataclasses.asdict(recipe)
    differ = [
        f"{name}={now[name]!r} instead of {before[name]!r}"
        for name in now
        if now[name] != before[name] and name not in MAY_CHANGE
    ]
    if differ:
        raise ValueError(
            "A run goes on with the recipe that it began with. Received: "
            f"{'; '.join(differ)}. Leave the options as they were, or start "
            "a new run in another folder."
        )


def results(path):
    """Reads what a finished run measured.

    Args:
        path: `Path` of the run folder.

    Returns:
        `(history, metrics)`: dict of lists, one value an epoch, and dict.
    """
    with open(path / "history.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    history = {
        name: [float(row[name]) for row in rows]
        for name in (rows[0] if rows else ())
        if name != "epoch"
    }
    text = (path / "metrics.json").read_text(encoding="utf-8")
    return history, json.loads(text)


def start(path, recipe, notes):
    """Writes what is known before training.

    Args:
        path: `Path` of the run folder.
        recipe: `Recipe`.
        notes: list of str about data and batches.
    """
    # What a run left that was killed before its first checkpoint.
    shutil.rmtree(path / "preset", ignore_errors=True)
    write_text(path / "recipe.json", recipe.to_json())
    write_json(path / "environment.json", environment())
    write_text(path / "data.txt", "\n".join(notes) + "\n")


def finish(path, model, splits, history, metrics):
    """Writes metrics and pictures, and the calibration of the preset.

    Args:
        path: `Path` of the run folder.
        model: the best `MAMCImageClassifier`; it gets its calibration.
        splits: dict of `ImageSet`.
        history: dict of lists, one value an epoch.
        metrics: dict of numbers.
    """
    from mamc_keras.evaluation import plots
    from mamc_keras.evaluation.calibration import calibrate_preset
    from mamc_keras.evaluation.explain import explain
    from mamc_keras.evaluation.predictions import predict_images

    plots.learning_curves(path / "learning_curves.png", history)
    if len(splits["val"]):
        predictions = predict_images(model, splits["val"])
        plots.confusion_figure(path / "confusion.png", predictions)
        calibrate_preset(path / "preset", model, predictions, splits["train"])
    shown = splits["val"] if len(splits["val"]) else splits["train"]
    index = np.linspace(0, len(shown) - 1, min(8, len(shown))).astype(int)
    photos = [shown.paths[i] for i in index]
    explain(model, photos, path / "attention.png")
    # The last one, because it says that the run is finished.
    write_json(path / "metrics.json", metrics)
    shutil.rmtree(path / "checkpoints", ignore_errors=True)


def environment():
    """Describes the software and machine of a run.

    Returns:
        dict of str.
    """
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "python": platform.python_version(),
        **versions,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "system": platform.system(),
        "commit": _commit(),
    }


def _commit():
    """The checkout's commit, or the installed version outside of one."""
    try:
        return subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "not a checkout"


def read_recipe(path):
    """Reads the recipe of a run folder.

    Args:
        path: str or Path of the run folder.

    Returns:
        A `Recipe`.

    Raises:
        ValueError: when the folder is no run.
    """
    from mamc_keras.recipe import Recipe

    file = Path(path) / "recipe.json"
    try:
        return Recipe.from_json(file.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(
            f"There is no readable recipe.json. Received: {str(path)!r}. "
            "Give the folder that mamc train wrote."
        ) from error
