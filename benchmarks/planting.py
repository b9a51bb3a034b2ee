"""Plants defects in a folder of train/CLASS/*.jpg and test/CLASS/*.jpg."""

import dataclasses
import unicodedata

from defects import COPIES
from defects import SPOILT
from defects import class_folders


@dataclasses.dataclass(frozen=True)
class Planted:
    """One defect, and how a check has to speak of it.

    Args:
        defect: str. What was done.
        kind: str. The kind of finding that is right.
        paths: frozenset of Path. The files it concerns, twins included.
        names: tuple of str. What the message must name, for a class.
    """

    defect: str
    kind: str
    paths: frozenset
    names: tuple = ()


def plant_wrong_labels(root, rng, avoid=()):
    """Moves 30 training photos to another class of their data set.

    Args:
        root: Path.
        rng: `np.random.Generator`.
        avoid: set of Path. Photos to leave alone.

    Returns:
        list of `Planted`.
    """
    stock = sorted(set(root.glob("train/*/*.jpg")) - set(avoid))
    rng.shuffle(stock)
    paths = [_move(path, _other_class(path, rng)) for path in stock[:30]]
    return [
        Planted("wrong label", "label", frozenset([path])) for path in paths
    ]


def plant(root, rng, avoid=()):
    """Plants 170 other defects, at most one in each photo.

    Args:
        root: Path.
        rng: `np.random.Generator`.
        avoid: set of Path. Photos to leave alone.

    Returns:
        list of `Planted`.
    """
    planted = [*_collisions(root, rng, "case", 5)]
    planted += _collisions(root, rng, "unicode", 5, planted)
    taken = {path for defect in planted for path in defect.paths}
    stock = sorted(set(root.glob("*/*/*.jpg")) - taken - set(avoid))
    rng.shuffle(stock)
    train = [path for path in stock if path.parts[-3] == "train"]
    for i, path in enumerate(train[:3]):
        new = _move(path, path.parent.with_name(f"lone-{i}"))
        name = new.parent.name
        planted.append(
            Planted("lone class", "lone image", frozenset([new]), (name,))
        )
    train = train[3:]
    for defect, kind, count, copy in COPIES:
        for path in train[:count]:
            new = copy(path, rng)
            planted.append(Planted(defect, kind, frozenset([path, new])))
        train = train[count:]
    rest = [path for path in stock if path.parts[-3] == "test"] + train
    rng.shuffle(rest)
    for defect, kind, count, spoil in SPOILT:
        for path in rest[:count]:
            new = spoil(path, rng)
            planted.append(Planted(defect, kind, frozenset([new])))
        rest = rest[count:]
    return planted


def _other_class(path, rng):
    others = [f for f in class_folders(path) if f != path.parent]
    return others[rng.integers(len(others))]


def _move(path, folder):
    folder.mkdir(exist_ok=True)
    return path.rename(folder / f"moved-{path.name}")


def _collisions(root, rng, how, count, before=()):
    """Splits classes in two whose names look the same."""
    used = {path.parent.name for d in before for path in d.paths}
    classes = sorted(p for p in (root / "train").iterdir())
    classes = [c for c in classes if c.name not in used]
    for i in rng.permutation(len(classes))[:count]:
        old = classes[i]
        if how == "case":
            first, second = old.name, old.name.upper()
        else:
            first = unicodedata.normalize("NFC", f"{old.name}-\u00e9")
            second = unicodedata.normalize("NFD", first)
            for split in ("train", "test"):
                (root / split / old.name).rename(root / split / first)
        for split in ("train", "test"):
            (root / split / second).mkdir()
            files = sorted((root / split / first).iterdir())
            for path in files[: len(files) // 2]:
                path.rename(root / split / second / path.name)
        paths = [*root.glob(f"*/{first}/*"), *root.glob(f"*/{second}/*")]
        yield Planted(
            f"class names that differ by {how}",
            "name collision",
            frozenset(paths),
            (ascii(first), ascii(second)),
        )
