"""Does `mamc check` find what is wrong? 200 defects planted in real photos.

For each seed, 36 classes of two real sets are copied to a temporary folder
and checked as they are; then 200 defects of 25 sorts are planted and the
folder is checked again, labels when only they are wrong yet. A defect is found
when the right kind is reported of the right file (and its twin). Every report
of that kind on another file is a false one, unless it was there before the
planting: those are listed and counted apart, and the precision that holds them
for false is the least that it can be. One CSV row a seed and defect; what is
not `found` is that of the kind.

The precision of "label" is not what a person meets in a clean set. Wrong
labels make the label check less sure of everything, so it suspects nothing
else here; without them it is surer, and suspects photos that are right.

Run: python benchmarks/planted_defects.py ../shared/data/cub50 \
         ../shared/data/grocery81
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow leaves oneDNN off on CPUs without AVX-512; it is faster there too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import numpy as np
from data_tables import planted
from planting import plant
from planting import plant_wrong_labels
from results import append_row
from results import is_done

from mamc_keras.data.checking.label_errors import check_labels
from mamc_keras.data.checks import check_source
from mamc_keras.data.sources import open_source

RESULTS = Path(__file__).parent / "results" / "planted_defects.csv"
CLASSES = 18  # of each set
PHOTOS = 18  # of each class and split


def copy_photos(sources, root, rng):
    """Copies some classes of each set, named SET-CLASS."""
    for source in sources:
        splits = open_source(source, validation_fraction=0)
        names = splits["train"].class_names
        for label in sorted(rng.permutation(len(names))[:CLASSES]):
            for split in ("train", "test"):
                folder = root / split / f"{source.name}-{names[label]}"
                folder.mkdir(parents=True)
                places = np.flatnonzero(splits[split].labels == label)
                for i in rng.permutation(places)[:PHOTOS]:
                    shutil.copy(splits[split].paths[i], folder)


def findings(root, labels):
    """Checks the folder, and gives all that was found."""
    report = check_source(open_source(root, validation_fraction=0))
    return (check_labels(report, root) if labels else report).all_problems


def key(problem):
    return problem.kind, problem.path, problem.twin


def is_found(planted, problems):
    """Tells whether one of the findings speaks of the defect."""
    paths = {str(path) for path in planted.paths}
    return any(
        all(name in p.message for name in planted.names)
        if planted.names
        else p.path in paths and (not p.twin or p.twin in paths)
        for p in problems
        if p.kind == planted.kind
    )


def false_reports(kind, planted, problems, before):
    """Findings of a kind about files of which it is not true."""
    true = {
        str(path)
        for defect in planted
        for path in defect.paths
        if kind == defect.kind
    }
    known = {key(problem) for problem in before}
    return [
        p
        for p in problems
        if p.kind == kind
        and p.path
        and p.path not in true
        and key(p) not in known
    ]


def measure(sources, seed):
    """Plants and checks once, and yields a row for each defect."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        copy_photos(sources, root, rng)
        before = findings(root, labels=True)
        for problem in before:
            text = f"{problem.kind}: {problem.path} {problem.message}"
            print("before:", text.replace(f"{root}/", ""))
        avoid = {Path(p.path) for p in before} | {Path(p.twin) for p in before}
        planted = plant_wrong_labels(root, rng, avoid)
        after = [p for p in findings(root, labels=True) if p.kind == "label"]
        avoid |= {path for defect in planted for path in defect.paths}
        planted += plant(root, rng, avoid)
        after += findings(root, labels=False)
    for defect in dict.fromkeys(d.defect for d in planted):
        group = [d for d in planted if d.defect == defect]
        kind = group[0].kind
        of_kind = [d for d in planted if d.kind == kind]
        false = false_reports(kind, planted, after, before)
        right = sum(is_found(d, after) for d in of_kind)
        for d in group:
            if not is_found(d, after):
                said = [
                    p.kind for p in after if Path(p.path) in d.paths and p.path
                ]
                print(f"missed: {defect}: reported as {said or 'nothing'}")
        yield {
            "seed": seed,
            "defect": defect,
            "kind": kind,
            "planted": len(group),
            "found": sum(is_found(d, after) for d in group),
            "found_of_kind": right,
            "false_of_kind": len(false),
            "before_of_kind": len(false_reports(kind, planted, after, []))
            - len(false),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="*", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    for seed in options.seeds:
        if options.sources and not is_done(RESULTS, seed=seed):
            for row in list(measure(options.sources, seed)):
                append_row(RESULTS, row)
    print(planted())


if __name__ == "__main__":
    main()
