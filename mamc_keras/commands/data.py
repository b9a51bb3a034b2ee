"""Commands on photos: check, split, shard.

TensorFlow is imported by the commands themselves, so that help is quick.
"""

from functools import partial
from pathlib import Path

from rich.table import Table

from mamc_keras.commands.console import Argument
from mamc_keras.commands.console import console
from mamc_keras.commands.console import written
from mamc_keras.progress import bars


def check(
    source: Argument[str],
    out: Path | None = None,
    exclude: str = "",
    strict: bool = False,
    labels: bool = False,
):
    """Says what is wrong with a data set, before any training.

    Example: mamc check photos/

    Ends with code 0 when nothing is wrong but for notes, with 1 when results
    could not be trusted (files left out, photos in two splits or classes...),
    with 2 when there is nothing to check.

    Args:
        source: folder of class folders, CSV or text list, or tfds:NAME.
        out: folder for check.html, check.json and bad_files.txt; check-NAME.
        exclude: list of photos to leave out; SOURCE/bad_files.txt.
        strict: end with code 1 for notes too.
        labels: look for photos in the wrong class as well, which takes a
            pretrained network and minutes.
    """
    from mamc_keras.data.checking.check_files import default_folder
    from mamc_keras.data.checking.check_files import write_check
    from mamc_keras.data.checks import check_source
    from mamc_keras.data.formats.shard_reader import is_shard_folder
    from mamc_keras.data.formats.shard_reader import verify_shards
    from mamc_keras.data.sources import open_source

    with bars(console) as progress:
        splits = open_source(source)
        if is_shard_folder(source):
            verify_shards(source, partial(progress, "checksums"))
        report = check_source(
            splits,
            progress=partial(progress, "check"),
            source=source,
            exclude=exclude,
        )
        if labels:
            from mamc_keras.data.checking.label_errors import check_labels

            report = check_labels(
                report,
                source,
                partial(progress, "labels"),
            )
    for line in report.lines():
        console.print(line, markup=False)
    written(*write_check(report, source, out or default_folder(source)))
    found = report.all_problems
    return int(any(problem.serious or strict for problem in found))


def shard(
    source: Argument[str],
    out: Argument[Path],
    images_per_shard: int = 1024,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
    exclude: str = "",
    skip_check: bool = False,
):
    """Packs photos into TFRecord shards, a source like the photos themselves.

    Example: mamc shard photos/ shards/

    Run it again after it was stopped: what is finished stays.

    Args:
        source: folder of class folders, CSV or text list, or tfds:NAME.
        out: new folder for the shards.
        images_per_shard: a shard holds at most so many photos.
        validation_fraction: part set aside if the source has no such split.
        test_fraction: part set aside if the source has no such split.
        seed: chooses which photos, and mixes the classes.
        exclude: list of photos to leave out; SOURCE/bad_files.txt.
        skip_check: pack files that cannot be decoded as well.
    """
    from mamc_keras.data.checking.bad_files import leave_out
    from mamc_keras.data.checks import check_source
    from mamc_keras.data.formats.shard_writer import write_shards
    from mamc_keras.data.sources import open_source

    splits = open_source(source, validation_fraction, test_fraction, seed)
    with bars(console) as progress:
        if skip_check:
            splits, problems = leave_out(splits, source, exclude)
            lines = [f"{p.path} {p.message}".strip() for p in problems]
        else:
            report = check_source(
                splits,
                partial(progress, "check"),
                source,
                exclude,
            )
            splits, lines = report.clean, report.lines()
        index = write_shards(
            splits,
            out,
            images_per_shard,
            seed,
            partial(progress, "write"),
        )
    for line in lines:
        console.print(line, markup=False)
    for name, images in splits.items():
        console.print(f"{name}: {len(images)} photos written")
    written(index)


def split(
    source: Argument[str],
    out: Argument[Path],
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
    group_by: str = "",
    again: bool = False,
):
    """Divides photos into train, val and test; what belongs together stays so.

    Example: mamc split photos/ photos-split/

    Copies, near copies and bursts never come into two splits. Writes lists;
    no photo is copied or moved. Then: mamc train photos-split/

    Args:
        source: folder of class folders, a list, or tfds:NAME.
        out: new folder for train.csv, val.csv, test.csv and split.json.
        validation_fraction: part of the photos that are not for the test.
        test_fraction: part of all photos.
        seed: chooses which photos.
        group_by: regular expression; photos with the same part in parentheses
            in their file names stay together: "(module[0-9]+)".
        again: join the splits that the source has, and divide anew.
    """
    from mamc_keras.data.splitting.split_source import split_source

    with bars(console) as progress:
        report = split_source(
            source,
            out,
            validation_fraction,
            test_fraction,
            seed,
            group_by,
            again,
            partial(progress, "look"),
        )
    table = Table("split", "photos", "classes")
    for name, photos in report.photos.items():
        table.add_row(name, f"{photos:,}", f"{report.classes[name]:,}")
    console.print(table)
    table = Table("kept together", "groups", "photos")
    for reason, (groups, photos) in report.reasons.items():
        table.add_row(reason, f"{groups:,}", f"{photos:,}")
    console.print(table)
    for note in report.notes:
        console.print(note, markup=False)
    written(*report.files)
