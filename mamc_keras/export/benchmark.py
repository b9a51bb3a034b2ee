"""What each exported .tflite file costs: size, time, memory, accuracy."""

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from mamc_keras.export.tflite_file import read_contents
from mamc_keras.files import atomic_path

RESULTS_FILE = "benchmark.csv"
MEASURES = ("accuracy_tflite", "agreement", "max_difference", "ece_tflite")
# Writes by how much the runtime's memory grows until a photo is classified.
_MEMORY = """
import re, sys
import numpy as np
from mamc_keras import lite
def peak():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read())[1])
import ai_edge_litert.interpreter
before = peak()
path, layout = sys.argv[1:]
reader = lite.Embedder if layout == "embedder" else lite.Classifier
model = reader(path, num_threads=1)
image = np.zeros((*(model.image_size or (224, 224)), 3), np.uint8)
(model.embed if layout == "embedder" else model.predict)(image)
sys.stdout.write(str(peak() - before))
"""


def benchmark(folder, runs=50, threads=(1, 2)):
    """Measures every .tflite file of an export.

    Times are those of this computer, by LiteRT's own benchmark; run it while
    nothing else runs. What parity.json says of a file is repeated.

    Args:
        folder: str or Path that `mamc export` wrote, or one .tflite file.
        runs: int. Timed runs of each file.
        threads: sequence of int.

    Returns:
        list of dict, a row a file, and the `Path` of benchmark.csv.

    Raises:
        ValueError: when there is no .tflite file, or it does not run.
    """
    folder = Path(folder)
    files = [folder] if folder.is_file() else sorted(folder.glob("*.tflite"))
    if not files:
        raise ValueError(
            f"There is no .tflite file. Received: {str(folder)!r}. Write some "
            "with `mamc export`."
        )
    folder = files[0].parent
    parity = folder / "parity.json"
    reports = json.loads(parity.read_text()) if parity.is_file() else {}
    rows = [
        _measure(file, reports.get(file.name) or {}, runs, threads)
        for file in files
    ]
    path = folder / RESULTS_FILE
    with (
        atomic_path(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return rows, path


def _measure(file, report, runs, threads):
    contents = read_contents(file)
    row = {
        "file": file.name,
        "megabytes": f"{file.stat().st_size / 1e6:.2f}",
        "parameters": contents.parameters,
        "operations": sum(contents.operations.values()),
    }
    for count in threads:
        times = latency(file, runs, count)
        row[f"median_ms_{count}_threads"] = times["median_ms"]
        row[f"p95_ms_{count}_threads"] = times["p95_ms"]
    row["memory_mb"] = _memory(file, contents)
    for name in MEASURES:
        row[name] = f"{report[name]:.4g}" if name in report else ""
    return row


def latency(file, runs=50, threads=1):
    """Times one file by LiteRT's own benchmark, in a process of its own.

    Args:
        file: str or Path of a .tflite file.
        runs: int. Timed runs.
        threads: int. CPU threads.

    Returns:
        dict of milliseconds: `median_ms`, `p95_ms` and others.

    Raises:
        ValueError: when the file does not run.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        _run(
            file,
            *("-m", "ai_edge_litert.tools.benchmark_litert_model"),
            *(f"--model={file}", f"--num_runs={runs}"),
            *(f"--num_threads={threads}", f"--result_json={result}"),
        )
        return json.loads(result.read_text())["latency"]


def _memory(file, contents):
    if not Path("/proc/self/status").exists():
        return ""
    layout = "classifier" if "classify" in contents.signatures else "embedder"
    return f"{int(_run(file, '-c', _MEMORY, str(file), layout)) / 1024:.0f}"


def _run(file, *arguments):
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ValueError(
            f"A file could not be measured. Received: {str(file)!r} ({last}). "
            "Export it again."
        )
    return done.stdout
