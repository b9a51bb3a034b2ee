"""The `mamc` command: check, train, evaluate, predict, explain, export."""

import dataclasses
import logging
import os
import sys
import time
from pathlib import Path
from typing import Annotated
from typing import Literal

import tyro
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

from mamc_keras.progress import bars
from mamc_keras.recipe import Recipe
from mamc_keras.recipe import load_recipe

_console = Console(highlight=False, soft_wrap=True)
Argument = tyro.conf.Positional


def check(source: Argument[str]):
    """Says what is wrong with a data set, before any training.

    Example: mamc check photos/

    Args:
        source: folder of class folders, or tfds:NAME.
    """
    from mamc_keras.data.checks import check_source
    from mamc_keras.data.sources import open_source

    with bars(_console) as progress:
        report = check_source(
            open_source(source),
            progress=lambda done, total: progress("check", done, total),
        )
    for line in report.lines():
        _console.print(line, markup=False)


def _train_command(default):
    def train(
        data: Argument[str],
        run_dir: Path | None = None,
        recipe: Annotated[Recipe, tyro.conf.arg(name="")] = default,
    ):
        """Trains a classifier: one folder in, one run folder out.

        Example: mamc train photos/ --run-dir runs/first --epochs 12

        Args:
            data: folder of class folders, tfds:NAME, or a recipe file.
            run_dir: new folder for the run; runs/NAME-TIME by default.
            recipe: every field of the recipe is an option.
        """
        from mamc_keras.training import train as run_recipe

        if not data.endswith(".py"):
            recipe = dataclasses.replace(recipe, source=data)
        if not recipe.source:
            raise ValueError(
                f"The recipe names no data. Received: {data!r}. "
                "Add --source FOLDER."
            )
        stamp = time.strftime("%Y%m%d-%H%M%S")
        run_dir = run_dir or Path("runs") / f"{Path(data).stem}-{stamp}"
        with bars(_console) as progress:
            run = run_recipe(recipe, run_dir, progress)
        for name, value in run.metrics.items():
            _console.print(f"{name}: {value:.4g}")
        _written(*sorted(run.path.iterdir()))

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

    with bars(_console) as progress:
        summary, paths = run_evaluation(preset, source, split, out, progress)
    table = Table("measure", "value", title=f"{preset}, {split}")
    for name, value in summary.items():
        table.add_row(name, f"{value:.4g}")
    _console.print(table)
    _written(*paths)


def predict(model: Argument[Path], photos: Argument[list[Path]], top: int = 3):
    """Names the most probable classes of photos.

    Example: mamc predict runs/first/preset photo.jpg

    Args:
        model: run folder, preset folder or .tflite file.
        photos: image files.
        top: how many classes to name.
    """
    from mamc_keras.evaluation.evaluate import answer

    for photo, answers in answer(model, photos, top):
        line = ", ".join(f"{name} {share:.1%}" for name, share in answers)
        _console.print(f"{photo}: {line}", markup=False)


def explain(
    preset: Argument[Path],
    photos: Argument[list[Path]],
    out: Path = Path("attention.png"),
):
    """Draws where each attention branch looked.

    Example: mamc explain runs/first photo.jpg --out attention.png

    Args:
        preset: run folder or preset folder.
        photos: image files.
        out: the PNG to write.
    """
    from mamc_keras.evaluation.evaluate import load_model
    from mamc_keras.evaluation.evaluate import readable
    from mamc_keras.evaluation.explain import explain as draw

    photos = readable(photos)
    for path, name, share in draw(load_model(preset), photos, out):
        _console.print(f"{path}: {name} {share:.1%}", markup=False)
    _written(out)


def export(
    preset: Argument[Path],
    out: Path | None = None,
    source: str | None = None,
    int8: bool = True,
):
    """Writes a SavedModel and .tflite files, and compares them with Keras.

    Example: mamc export runs/first

    Args:
        preset: run folder, or preset folder together with --source.
        out: folder for the files; PRESET/../export by default.
        source: photos for calibration and parity; a run knows its own.
        int8: write the full int8 .tflite too (needs photos).
    """
    from mamc_keras.export.export import export as run_export

    table = Table("file", "MB", "top-1", "Keras", "equal top-1", "max diff")
    paths = []
    for path, report in run_export(preset, out, source, int8):
        paths.append(path)
        if report:
            table.add_row(
                path.name,
                f"{report['megabytes']:.2f}",
                f"{report['accuracy_tflite']:.4f}",
                f"{report['accuracy_keras']:.4f}",
                f"{report['agreement']:.4f}",
                f"{report['max_difference']:.2g}",
            )
    if table.row_count:
        _console.print(table)
    _written(*paths)


def _written(*paths):
    for path in paths:
        _console.print(f"wrote {path}", markup=False)


def _default_recipe(arguments):
    """The recipe that a .py argument of `mamc train` holds, or the default."""
    if arguments[:1] == ["train"]:
        for argument in arguments[1:]:
            if argument.endswith(".py"):
                return load_recipe(argument)
    return Recipe()


def _fail(error):
    console = Console(stderr=True, soft_wrap=True)
    console.print(f"mamc: {error}", markup=False, highlight=False)
    sys.exit(2)


def main(arguments=None):
    """Runs the command line; bad input ends with one sentence and code 2.

    Args:
        arguments: list of str; the process's own by default.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # TensorFlow leaves oneDNN off on CPUs without AVX-512; it is faster there.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    log = logging.getLogger("mamc_keras")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.handlers = [
        RichHandler(
            console=_console,
            show_time=False,
            show_level=False,
            show_path=False,
            markup=False,
        )
    ]
    try:
        commands = {
            "check": check,
            "train": _train_command(_default_recipe(arguments)),
            "evaluate": evaluate,
            "predict": predict,
            "explain": explain,
            "export": export,
        }
        tyro.extras.subcommand_cli_from_dict(
            commands,
            prog="mamc",
            description="Weakly supervised fine-grained recognition.",
            args=arguments,
        )
    except (ValueError, OSError, ImportError) as error:
        _fail(error)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        # TensorFlow's own errors: a photo that vanished, a full disk.
        if not type(error).__module__.startswith("tensorflow"):
            raise
        first = str(error).strip().splitlines()[0]
        _fail(f"TensorFlow stopped: {first}")
