"""Commands on files for servers and phones: export, benchmark.

TensorFlow is imported by the commands themselves, so that help is quick.
"""

from pathlib import Path
from typing import Literal

from rich.table import Table

from mamc_keras.commands.console import Argument
from mamc_keras.commands.console import console
from mamc_keras.commands.console import written

# As in export.variants and export.layouts, which would import TensorFlow.
Variant = Literal["float32", "float16", "dynamic", "int8", "mixed"]
Layout = Literal["classifier", "embedder", "full"]


def export(
    preset: Argument[Path],
    out: Path | None = None,
    source: str | None = None,
    variants: tuple[Variant, ...] = ("float32", "int8"),
    layouts: tuple[Layout, ...] = ("classifier",),
    any_size: bool = False,
    web: Path | None = None,
):
    """Writes a SavedModel and .tflite files, and compares them with Keras.

    Example: mamc export runs/first --layouts classifier full

    Args:
        preset: run folder, or preset folder together with --source.
        out: folder for the files; PRESET/../export by default.
        source: photos for calibration and parity; a run knows its own.
        variants: how numbers are stored; int8 and mixed need photos.
        layouts: classifier (what most apps read), embedder, or full:
            classify, embed and attend in one file.
        any_size: files of float32, float16 and dynamic take photos of any
            size.
        web: folder for a page that classifies photos in the browser; needs
            npm once, for LiteRT.js.
    """
    from mamc_keras.export.export import export as run_export

    table = Table("file", "MB", "top-1", "Keras", "equal top-1", "max diff")
    paths, best = [], []
    for path, report in run_export(
        preset, out, source, variants, layouts, any_size
    ):
        paths.append(path)
        if report and report.get("recommended"):
            best.append(path.name)
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
        console.print(table)
    if best:
        console.print(
            f"Recommended: {', '.join(best)}, the smallest and fastest whose "
            "top-1 on validation photos is at most half a point below Keras."
        )
    if web:
        from mamc_keras.evaluation.evaluate import load_model
        from mamc_keras.export.web import export_web

        paths.append(export_web(load_model(preset), web))
    written(*paths)


def benchmark(
    folder: Argument[Path], runs: int = 50, threads: tuple[int, ...] = (1, 2)
):
    """Measures size, time and memory of exported .tflite files.

    Example: mamc benchmark runs/first/export

    Args:
        folder: what `mamc export` wrote, or one .tflite file.
        runs: timed runs of each file.
        threads: numbers of CPU threads.
    """
    from mamc_keras.export.benchmark import benchmark as run_benchmark

    rows, path = run_benchmark(folder, runs, threads)
    times = [name for name in rows[0] if name.startswith("median_ms")]
    names = ("file", "megabytes", "parameters", "operations", *times)
    names += ("memory_mb", "accuracy_tflite", "agreement")
    table = Table(*(name.replace("_", " ") for name in names))
    for row in rows:
        table.add_row(*(str(row[name]) for name in names))
    console.print(table)
    written(path)
