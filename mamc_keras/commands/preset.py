"""Commands on trained presets: other classes, and sharing.

TensorFlow is imported by the commands themselves, so that help is quick.
"""

from pathlib import Path

from mamc_keras.commands.console import Argument
from mamc_keras.commands.console import console
from mamc_keras.commands.console import written


def classes(
    preset: Argument[Path],
    add: tuple[str, ...] = (),
    drop: tuple[str, ...] = (),
    rename: tuple[str, ...] = (),
    out: Path | None = None,
):
    """Lists the classes of a preset, or writes a preset with other ones.

    The classes that stay keep their weights. Added ones know nothing yet:
    train on with mamc train PHOTOS --preset OUT.

    Example: mamc classes runs/first --add pear plum --out grown

    Args:
        preset: run folder or preset folder.
        add: names of new classes.
        drop: names of classes to take out.
        rename: OLD=NEW for each class that gets another name.
        out: folder of the new preset.
    """
    from mamc_keras.evaluation.evaluate import load_model
    from mamc_keras.models.settings import class_names

    changes = add or drop or rename
    if bool(changes) != bool(out):
        raise ValueError(
            "A changed preset needs a folder, and a folder a change. "
            f"Received: add={add}, drop={drop}, rename={rename}, out={out}. "
            "Give --out FOLDER together with --add, --drop or --rename."
        )
    pairs = dict(text.partition("=")[::2] for text in rename)
    if not all(old and new for old, new in pairs.items()):
        raise ValueError(
            "A new name belongs to an old one. Received: "
            f"--rename {' '.join(rename)}. Write OLD=NEW."
        )
    model = load_model(preset)
    if not out:
        for name in class_names(model):
            console.print(name, markup=False)
        return
    if rename:
        model = model.rename_classes(pairs)
    if drop:
        model = model.drop_classes(drop)
    if add:
        model = model.add_classes(add)
    model.save_to_preset(out)
    written(*sorted(out.iterdir()))


def teach(
    preset: Argument[str],
    folder: Argument[Path],
    out: Path,
    known: Path | None = None,
    margin: float = 1.5,
):
    """Adds classes from a few photos of each, without training.

    The old classes keep their weights; mamc classes --drop takes the new
    ones out again.

    Example: mamc teach runs/first new-cups/ --out taught

    Args:
        preset: run folder, preset folder, or a handle such as hf://USER/NAME.
        folder: one folder of photos for each new class.
        out: folder of the new preset.
        known: photos of old classes, unsorted; a run's own training photos
            by default. They help, above all when there are few classes.
        margin: in logits; more finds more photos of new classes and loses
            more of old ones.
    """
    from mamc_keras.evaluation.evaluate import load_model
    from mamc_keras.models.few_photos import known_of_run
    from mamc_keras.models.few_photos import read_classes
    from mamc_keras.models.few_photos import read_known
    from mamc_keras.models.teach import teach as add

    model = load_model(preset)
    photos = read_classes(folder, model)
    old = read_known(known, model) if known else known_of_run(preset, model)
    taught = add(model, photos, old, margin)
    taught.save_to_preset(out)
    for name, part in photos.items():
        console.print(f"{name}: {len(part)} photos", markup=False)
    written(*sorted(out.iterdir()))


def push(
    preset: Argument[Path],
    handle: Argument[str],
    license: str | None = None,
    data: str | None = None,
    half: bool = False,
    dry_run: bool = False,
    out: Path | None = None,
):
    """Shares a trained model on Hugging Face or Kaggle, with a model card.

    Example: mamc push runs/first hf://me/birds --license mit --dry-run

    Args:
        preset: run folder or preset folder; a run knows its numbers.
        handle: hf://USER/NAME or kaggle://USER/NAME/keras/VARIATION.
        license: identifier for the card, such as mit or apache-2.0.
        data: for the card: which photos, where from and on what terms.
        half: store kernels in float16, half the size.
        dry_run: write the folder and upload nothing.
        out: folder that is uploaded; push/NAME by default.
    """
    from mamc_keras.sharing.push import check_handle
    from mamc_keras.sharing.push import stage
    from mamc_keras.sharing.push import upload

    check_handle(handle)
    # A Kaggle model has a name, and a framework and a variation below it.
    parts = handle.partition("://")[2].split("/")
    name = parts[1] if len(parts) == 4 else parts[-1]
    folder = stage(
        preset, out or Path("push") / name, name, license, data, half
    )
    written(*sorted(folder.iterdir()))
    if dry_run:
        console.print(f"nothing was sent to {handle}", markup=False)
        return
    upload(folder, handle)
    console.print(f"sent to {handle}", markup=False)
