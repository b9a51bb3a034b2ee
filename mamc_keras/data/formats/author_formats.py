"""CUB-200-2011, Stanford Dogs and Stanford Cars as their authors pack them.

Each is known by its own annotation files, so the unpacked archive is a source
as it is, with the official split into training and test photos.
"""

import re
from pathlib import Path


def read_author_format(root):
    """Reads a folder that is one of the known archives.

    Args:
        root: Path of a folder.

    Returns:
        dict of `"train"` and `"test"` to a dict of class name to list of
        paths; `None` when the folder is something else.

    Raises:
        ValueError: when an annotation file is damaged or one is missing.
    """
    if (root / "image_class_labels.txt").is_file():
        return _cub(root)
    if (root / "train_list.mat").is_file():
        return _dogs(root)
    if _cars_devkit(root):
        return _cars(root, _cars_devkit(root))
    return None


def _cub(root):
    """https://www.vision.caltech.edu/datasets/cub_200_2011"""
    names = _numbered(root / "classes.txt")
    files = _numbered(root / "images.txt")
    labels = _numbered(root / "image_class_labels.txt")
    is_train = _numbered(root / "train_test_split.txt")
    splits = {"train": {}, "test": {}}
    for number, file in files.items():
        try:
            name = names[labels[number]]
            split = "train" if is_train[number] == "1" else "test"
        except KeyError as error:
            raise ValueError(
                f"The annotations of '{root}' do not fit together. Received: "
                f"image {number} without its entry {error}. Unpack the "
                "archive again."
            ) from error
        path = str(root / "images" / file)
        splits[split].setdefault(name, []).append(path)
    return splits


def _numbered(file):
    """Lines of a number and a value."""
    if not file.is_file():
        raise ValueError(
            f"An annotation file is missing. Received: no '{file}'. Unpack "
            "the archive again."
        )
    lines = file.read_text(encoding="utf-8").splitlines()
    pairs = [line.split(maxsplit=1) for line in lines if line.strip()]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(
            f"The annotation file is damaged. Received: '{file}' with a line "
            "that has one word. Unpack the archive again."
        )
    return {number: value.strip() for number, value in pairs}


def _dogs(root):
    """http://vision.stanford.edu/aditya86/ImageNetDogs"""
    splits = {}
    for split in ("train", "test"):
        table = _mat(root / f"{split}_list.mat")
        classes = splits.setdefault(split, {})
        for file in table["file_list"].reshape(-1):
            file = str(file.item() if hasattr(file, "item") else file)
            # n02085620-Chihuahua: the number is WordNet's.
            name = re.sub(r"^n\d+-", "", Path(file).parent.name)
            path = str(root / "Images" / file)
            classes.setdefault(name, []).append(path)
    return splits


def _cars_devkit(root):
    for folder in (root / "devkit", root / "car_devkit" / "devkit", root):
        if (folder / "cars_meta.mat").is_file():
            return folder
    return None


def _cars(root, devkit):
    """https://ai.stanford.edu/~jkrause/cars/car_dataset.html"""
    meta = _mat(devkit / "cars_meta.mat")["class_names"].reshape(-1)
    names = [str(name.item()).replace("/", "-") for name in meta]
    labelled = "cars_test_annos_withlabels.mat"
    test = next(
        (f / labelled for f in (root, devkit) if (f / labelled).is_file()), None
    )
    files = {"train": devkit / "cars_train_annos.mat"}
    if test:
        files["test"] = test
    splits = {}
    for split, file in files.items():
        # The archives hold the photos in a folder of their own name.
        folder = root / f"cars_{split}"
        inner = folder / f"cars_{split}"
        folder = inner if inner.is_dir() else folder
        classes = splits.setdefault(split, {})
        for row in _mat(file)["annotations"].reshape(-1):
            name = names[int(row["class"].item()) - 1]
            path = str(folder / str(row["fname"].item()))
            classes.setdefault(name, []).append(path)
    return splits


def _mat(file):
    from scipy.io import loadmat

    try:
        return loadmat(file)
    except Exception as error:  # SciPy has no one kind for damaged files.
        raise ValueError(
            f"The annotation file cannot be read. Received: '{file}' "
            f"({error}). Unpack the archive again."
        ) from error
