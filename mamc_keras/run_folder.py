"""What a run leaves behind: one folder that explains itself."""

import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path

import numpy as np

from mamc_keras.files import write_json
from mamc_keras.files import write_text

PACKAGES = ("keras", "tensorflow", "keras-hub", "keras-cv", "numpy")


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
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise ValueError(
            f"A run is never written over another. Received: {str(path)!r}, "
            "which exists. Choose another --run-dir or remove it."
        )
    return path


def start(path, recipe, notes):
    """Writes what is known before training.

    Args:
        path: `Path` of the run folder.
        recipe: `Recipe`.
        notes: list of str about data and batches.
    """
    write_text(path / "recipe.json", recipe.to_json())
    write_json(path / "environment.json", environment())
    write_text(path / "data.txt", "\n".join(notes) + "\n")


def finish(path, model, splits, history, metrics):
    """Writes metrics and pictures.

    Args:
        path: `Path` of the run folder.
        model: the best `MAMCImageClassifier`.
        splits: dict of `ImageSet`.
        history: dict of lists, one value an epoch.
        metrics: dict of numbers.
    """
    from mamc_keras.evaluation import plots
    from mamc_keras.evaluation.explain import explain
    from mamc_keras.evaluation.predictions import predict_images

    write_json(path / "metrics.json", metrics)
    plots.learning_curves(path / "learning_curves.png", history)
    shown = splits["val"] if len(splits["val"]) else splits["train"]
    index = np.linspace(0, len(shown) - 1, min(8, len(shown))).astype(int)
    photos = [shown.paths[i] for i in index]
    explain(model, photos, path / "attention.png")
    if len(splits["val"]):
        predictions = predict_images(model, splits["val"])
        plots.confusion_figure(path / "confusion.png", predictions)


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
