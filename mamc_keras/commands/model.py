"""Commands on classifiers: train, evaluate, predict, explain.

TensorFlow is imported by the commands themselves, so that help is quick.
"""

import dataclasses
import json
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
    against: Path | None = None,
    slices: Path | None = None,
):
    """Measures a trained classifier on one split.

    Predictions of the same preset and photos are used again.

    Example: mamc evaluate runs/first

    Args:
        preset: run folder or preset folder.
        source: folder of class folders; a run knows its own.
        split: which part of the data.
        out: folder for predictions and pictures; PRESET/../evaluation-SPLIT.
        against: another run or preset, compared on the same photos.
        slices: CSV with a column path and others, to measure parts by.
    """
    from mamc_keras.evaluation.evaluate import evaluate as run_evaluation

    with bars(console) as progress:
        summary, paths = run_evaluation(
            preset, source, split, out, progress, against, slices
        )
    files = {path.name: path for path in paths}
    ends = {}
    if "intervals.json" in files:
        ends = json.loads(files["intervals.json"].read_text())
    table = Table(
        "measure", "value", "95 % interval", title=f"{preset}, {split}"
    )
    for name, value in summary.items():
        interval = ends.get(name, ())
        table.add_row(
            name, f"{value:.4g}", " to ".join(f"{end:.4g}" for end in interval)
        )
    console.print(table)
    if "comparison.json" in files:
        console.print(
            _said(json.loads(files["comparison.json"].read_text())),
            markup=False,
        )
    written(*paths)


def _said(found):
    """A comparison in two sentences."""
    low, high = found["difference_low"], found["difference_high"]
    return (
        f"{found['first']} minus {found['second']}: "
        f"{100 * found['difference']:+.2f} points of top-1, 95 % interval "
        f"{100 * low:+.2f} to {100 * high:+.2f}. Of {found['images']:,} photos "
        f"only {found['first']} is right on {found['only_first']:,}, only "
        f"{found['second']} on {found['only_second']:,} (McNemar p = "
        f"{found['p_value']:.2g})."
    )


def report(
    preset: Argument[Path],
    source: Argument[str | None] = None,
    split: Literal["test", "val", "train"] | None = None,
    out: Path | None = None,
):
    """Writes a page about a run: how good, what is wrong, what to do next.

    One HTML file that opens anywhere, offline too. Predictions of `mamc
    evaluate` are used again.

    Example: mamc report runs/first

    Args:
        preset: run folder or preset folder.
        source: folder of class folders; a run knows its own.
        split: which part of the data; test, or val where there is no test.
        out: the HTML file; report.html beside the preset by default.
    """
    from mamc_keras.report import report as write_report

    with bars(console) as progress:
        path = write_report(preset, out, source, split, progress)
    written(path)


def predict(model: Argument[str], photos: Argument[list[Path]], top: int = 3):
    """Names the most probable classes of photos, or none of them.

    Example: mamc predict runs/first/preset photo.jpg

    Args:
        model: run folder, preset folder, .tflite file, or a handle such as
            hf://USER/NAME.
        photos: image files.
        top: how many classes to name.
    """
    from mamc_keras.evaluation.answers import answer

    for photo, answers, unknown in answer(model, photos, top):
        line = ", ".join(f"{name} {share:.1%}" for name, share in answers)
        if unknown:
            line += "; perhaps none of these"
        console.print(f"{photo}: {line}", markup=False)


def explain(
    preset: Argument[str],
    photos: Argument[list[Path]],
    out: Path | None = None,
    source: str | None = None,
    neighbours: int = 3,
):
    """Draws where each attention branch looked, and checks that it matters.

    Example: mamc explain runs/first photo.jpg --out attention.png

    Args:
        preset: run folder, preset folder, or a handle such as hf://USER/NAME.
        photos: image files, or folders of them.
        out: the PNG to write, attention.png; for folders the folder of the
            pages and explain.csv, explained.
        source: the training photos; a run knows its own.
        neighbours: nearest training photos for each branch, 0 for none.
    """
    from mamc_keras.evaluation.explanations import explain_photos

    with bars(console) as progress:
        rows, paths = explain_photos(
            preset, photos, out, source, neighbours, progress
        )
    for row in rows:
        line = f"{row['photo']}: {row['answer']} {row['probability']:.1%}"
        if "probability_drop" in row:
            line += (
                f"; with {row['hidden']:.0%} hidden "
                f"{row['probability'] - row['probability_drop']:.1%}, at "
                "random places "
                f"{row['probability'] - row['probability_drop_random']:.1%}"
            )
        console.print(line, markup=False)
    written(*paths)
