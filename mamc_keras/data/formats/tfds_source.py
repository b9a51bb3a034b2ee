"""TensorFlow Datasets as class folders.

The encoded photos of a TFDS builder are written once, as they are, into
`<class>/*.jpg` folders beside TFDS's own files. From then on they are a data
set like any other: everything downstream knows only paths.
"""

import re
from pathlib import Path

from mamc_keras.files import atomic_path

_SPLITS = {"train": "train", "validation": "val", "test": "test"}
_SIGNATURES = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
)


def prepare_class_folders(name, data_dir=None):
    """Downloads a TFDS data set and writes its photos into class folders.

    The first call takes as much disk again as the data set; later calls find
    the finished folder. A call that was killed leaves no half-written one.

    Args:
        name: str. A builder with an image, a class label and a train split,
            as in `"stanford_dogs"`, `"name/config"` or `"name:1.0.0"`.
        data_dir: str or Path. Where TFDS keeps its data sets. Defaults to
            TFDS's own choice (`TFDS_DATA_DIR` or `~/tensorflow_datasets`).

    Returns:
        Path of `<data_dir>/mamc_folders/<name>/<version>`. It holds split
        folders, or class folders when the data set has only one split.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            "A source that begins with 'tfds:' needs TensorFlow Datasets. "
            "Install it with `pip install tensorflow-datasets "
            "importlib_resources`."
        ) from error
    builder = tfds.builder(name, data_dir=data_dir)
    _check_features(builder, name, tfds)
    full_name = builder.info.full_name
    depth = len(Path(full_name).parts)
    root = Path(builder.data_dir).parents[depth - 1]
    folder = root / "mamc_folders" / full_name
    if folder.is_dir():
        return folder

    builder.download_and_prepare()
    splits = [split for split in _SPLITS if split in builder.info.splits]
    if "train" not in splits:
        raise ValueError(
            f"The TFDS data set '{name}' has no split 'train'. Received: "
            f"the splits {sorted(builder.info.splits)}. Choose another one."
        )
    names = folder_names(builder.info.features["label"])
    # Other features can be costly to decode, and boxes fail for some sets.
    decoders = tfds.decode.PartialDecoding(
        {"image": True, "label": True},
        decoders={"image": tfds.decode.SkipDecoding()},
    )
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        for split in splits:
            # A lone split is divided later, like any folder of classes.
            parent = temporary / _SPLITS[split]
            parent = temporary if len(splits) == 1 else parent
            dataset = builder.as_dataset(
                split=split, shuffle_files=False, decoders=decoders
            )
            _write_split(tfds.as_numpy(dataset), parent, names)
    return folder


def folder_names(label):
    """Makes one folder name of each class name.

    Args:
        label: `tfds.features.ClassLabel`.

    Returns:
        list of str, by class number. Numbers where the set has no names.
    """
    names = []
    for i in range(label.num_classes):
        name = re.sub(r"[/\\:*?\"<>|\x00-\x1f]+", "_", label.int2str(i))
        names.append(name.strip().lstrip(".") or str(i))
    if len({name.casefold() for name in names}) < len(names):
        return [f"{i:04d}_{name}" for i, name in enumerate(names)]
    return names


def _check_features(builder, name, tfds):
    features = builder.info.features or {}
    image = features["image"] if "image" in features else None
    label = features["label"] if "label" in features else None
    if not (
        isinstance(image, tfds.features.Image)
        and isinstance(label, tfds.features.ClassLabel)
    ):
        raise ValueError(
            f"The TFDS data set '{name}' must have an image called 'image' "
            "and one class called 'label'. Received: the features "
            f"{sorted(features)}. Choose a data set for classification."
        )


def _write_split(examples, parent, names):
    for number, example in enumerate(examples):
        label = int(example["label"])
        if label < 0:  # TFDS's mark for photos whose class is kept secret
            continue
        contents = example["image"]
        suffix = next(
            (s for start, s in _SIGNATURES if contents.startswith(start)),
            ".jpg",
        )
        folder = parent / names[label]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:07d}{suffix}").write_bytes(contents)
