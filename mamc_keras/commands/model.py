"""Commands on classifiers: train, evaluate, predict, explain.

TensorFlow is imported by the commands themselves, so that help is quick.
"""

import dataclasses
import time
from pathlib import Path
from typing import Annotated
from typing import Literal

import tyro
from rich.table import Table

from mamc_keras import run_folder
from mamc_keras.commands.console import Argument
from mamc_keras.commands.console import console
from mamc_keras.commands.console import written
from mamc_keras.progress import bars
from mamc_keras.recipe import Recipe


def train_command(default):
    def train(
        data: Argument[str],
        run_dir: Path | None = None,
        resume: bool = False,
        recipe: Annotated[Recipe, tyro.conf.arg(name="")] = default,
    ):
        """Trains a classifier: one folder in, one run folder out.

        Example: mamc train photos/ --run-dir runs/first --epochs 12

        Args:
            data: folder of class folders, tfds:NAME, or a recipe file; with
                --resume also the run folder itself.
            run_dir: new folder for the run; runs/NAME-TIME by default.
            resume: go on with the run in --run-dir, if there is one, from its
                last checkpoint.
            recipe: every field of the recipe is an option.
        """
        from mamc_keras.training import train as run_recipe

        if resume and run_folder.is_begun(data):
            if run_dir:
                raise ValueError(
                    "Which run is to go on? Received: the run folder "
                    f"{data!r} and --run-dir {run_dir}. Give one of them."
                )
            stored = run_folder.read_recipe(data)
            changed = {
                field.name: getattr(recipe, field.name)
                for field in dataclasses.fields(recipe)
                if getattr(recipe, field.name) != getattr(default, field.name)
            }
            run_dir = Path(data)
            recipe = dataclasses.replace(stored, **changed)
        elif resume and run_dir is None:
            raise ValueError(
                "Which run is to go on? Received: --resume without a run. "
                "Give its folder: mamc train runs/first --resume."
            )
        elif not data.endswith(".py"):
            recipe = dataclasses.replace(recipe, source=data)
        if not recipe.source:
            raise ValueError(
                f"The recipe names no data. Received: {data!r}. "
                "Add --source FOLDER."
            )
        stamp = time.strftime("%Y%m%d-%H%M%S")
        run_dir = run_dir or Path("runs") / f"{Path(data).stem}-{stamp}"
        with bars(console) as progress:
            run = run_recipe(recipe, run_dir, progress, resume=resume)
        for name, value in run.metrics.items():
            console.print(f"{name}: {value:.4g}")
        written(*sorted(run.path.iterdir()))

    return train


def evaluate(
    preset: Argument[Path],
    source: Argument[str | None] = None,
    split: Literal["test", "val", "train"] = "test",
    out: Path | None = None,
):
    """Measures a trained classifier on one split.

    Example: mamc evaluate runs/first

    Args:
        preset: run folder or preset folder.
        source: folder of class folders; a run knows its own.
        split: which part of the data.
        out: folder for predictions and pictures; PRESET/../evaluation-SPLIT.
    """
    from mamc_keras.evaluation.evaluate import evaluate as run_evaluation

    with bars(console) as progress:
        summary, paths = run_evaluation(preset, source, split, out, progress)
    table = Table("measure", "value", title=f"{preset}, {split}")
    for name, value in summary.items():
        table.add_row(name, f"{value:.4g}")
    console.print(table)
    written(*paths)


def predict(model: Argument[str], photos: Argument[list[Path]], top: int = 3):
    """Names the most probable classes of photos, or none of them.

    Example: mamc predict runs/first/preset photo.jpg

    Args:
        model: run folder, preset folder, .tflite file, or a handle such as
            hf://USER/NAME.
        photos: image files.
        top: how many classes to name.
    """
    from mamc_keras.evaluation.evaluate import answer

    for photo, answers, unknown in answer(model, photos, top):
        line = ", ".join(f"{name} {share:.1%}" for name, share in answers)
        if unknown:
            line += "; perhaps none of these"
        console.print(f"{photo}: {line}", markup=False)


def explain(
    preset: Argument[str],
    photos: Argument[list[Path]],
    out: Path = Path("attention.png"),
):
    """Draws where each attention branch looked.

    Example: mamc explain runs/first photo.jpg --out attention.png

    Args:
        preset: run folder, preset folder, or a handle such as hf://USER/NAME.
        photos: image files.
        out: the PNG to write.
    """
    from mamc_keras.evaluation.evaluate import load_model
    from mamc_keras.evaluation.evaluate import readable
    from mamc_keras.evaluation.explain import explain as draw

    photos = readable(photos)
    for path, name, share in draw(load_model(preset), photos, out):
        console.print(f"{path}: {name} {share:.1%}", markup=False)
    written(out)
