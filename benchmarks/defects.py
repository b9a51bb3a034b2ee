"""Ways to spoil a photo, or to copy it: from its path to the new one."""

import io
import shutil
import struct
import zlib

import numpy as np
from PIL import Image
from PIL import ImageEnhance


def class_folders(path):
    """Lists the classes of a photo's own data set, in its split."""
    name = path.parent.name.split("-")[0]
    return sorted(path.parent.parent.glob(f"{name}-*"))


def _photo(path):
    return Image.open(io.BytesIO(path.read_bytes())).convert("RGB")


def _encoded(image, suffix, **options):
    buffer = io.BytesIO()
    image.save(buffer, suffix, **options)
    return buffer.getvalue()


# In place of a photo: from (path, rng) to the new path.


def _written(contents, suffix=None):
    def spoil(path, rng):
        data = contents(path, rng)
        new = path.with_suffix(suffix) if suffix else path
        path.unlink()
        new.write_bytes(data)
        return new

    return spoil


def _cut(path, rng):
    data = path.read_bytes()
    return data[: int(len(data) * rng.uniform(0.3, 0.95))]


def _cut_png(path, rng):
    data = _encoded(_photo(path), "PNG")
    return data[: int(len(data) * rng.uniform(0.3, 0.95))]


def _corrupted(path, rng):
    data = bytearray(path.read_bytes())
    start = int(len(data) * rng.uniform(0.3, 0.7))
    data[start : start + 64] = rng.bytes(64)
    return bytes(data)


def _animation(path, rng):
    image = _photo(path).resize((160, 120))
    frames = [image.rotate(angle) for angle in (5, 10)]
    return _encoded(image, "GIF", save_all=True, append_images=frames)


def _deep(path, rng):
    pixels = np.asarray(_photo(path).convert("L"), np.uint16) * 257
    return _encoded(Image.fromarray(pixels), "PNG")


def _huge(path, rng):
    return _encoded(_photo(path).resize((6400, 4800)), "JPEG", quality=60)


def _boundless(path, rng):
    """A PNG of a few bytes that claims 60,000 x 60,000 pixels."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1000))),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body))
        + name
        + body
        + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def _turned(path, rng):
    exif = Image.Exif()
    exif[0x0112] = int(rng.choice([3, 6, 8]))
    return _encoded(_photo(path), "JPEG", exif=exif, quality=95)


def _as(suffix, size=None, mode="RGB"):
    def contents(path, rng):
        image = _photo(path).convert(mode)
        return _encoded(image.resize(size) if size else image, suffix)

    return contents


SPOILT = (
    ("empty file", "empty", 9, _written(lambda path, rng: b"")),
    ("truncated JPEG", "cut off", 9, _written(_cut)),
    ("truncated PNG", "cut off", 6, _written(_cut_png, ".png")),
    ("64 bytes of a JPEG overwritten", "damaged", 9, _written(_corrupted)),
    (
        "text named .jpg",
        "not an image",
        9,
        _written(lambda path, rng: b"<html>404 Not Found</html>" * 20),
    ),
    ("PNG named .jpg", "suffix", 9, _written(_as("PNG"))),
    ("animated GIF", "animation", 9, _written(_animation, ".gif")),
    ("CMYK JPEG", "cmyk", 9, _written(_as("JPEG", mode="CMYK"))),
    ("16-bit PNG", "16-bit", 9, _written(_deep, ".png")),
    ("6 x 5 pixels", "too small", 9, _written(_as("PNG", (6, 5)), ".png")),
    ("6,400 x 4,800 pixels", "huge", 4, _written(_huge)),
    ("claims 60,000 x 60,000", "too large", 3, _written(_boundless, ".png")),
    ("EXIF rotation", "orientation", 9, _written(_turned)),
)


# A second file beside a photo: from (path, rng) to the copy's path.


def _copied(place, change=None, quality=90):
    def copy(path, rng):
        if place == "class":
            folder = path.parent
        elif place == "other class":
            others = [f for f in class_folders(path) if f != path.parent]
            folder = others[rng.integers(len(others))]
        else:
            folder = path.parents[2] / "test" / path.parent.name
        new = folder / f"copy-{path.name}"
        if change is None:
            shutil.copyfile(path, new)
        else:
            image = change(_photo(path), rng)
            new.write_bytes(_encoded(image, "JPEG", quality=quality))
        return new

    return copy


def _resized(image, rng):
    share = rng.uniform(0.4, 0.8)
    return image.resize([round(side * share) for side in image.size])


def _cropped(image, rng):
    width, height = image.size
    edge = rng.uniform(0.01, 0.03, 4) * (width, height, width, height)
    return image.crop((edge[0], edge[1], width - edge[2], height - edge[3]))


def _brighter(image, rng):
    return ImageEnhance.Brightness(image).enhance(rng.choice([0.75, 1.25]))


def _same(image, rng):
    return image


COPIES = (
    ("copy in its class", "duplicate", 9, _copied("class")),
    ("copy in another class", "conflict", 9, _copied("other class")),
    ("copy in another split", "leak", 9, _copied("test")),
    ("resized, other split", "near leak", 5, _copied("test", _resized)),
    (
        "saved at quality 40, other split",
        "near leak",
        5,
        _copied("test", _same, 40),
    ),
    (
        "edges cut by 1 to 3 %, other split",
        "near leak",
        5,
        _copied("test", _cropped),
    ),
    (
        "25 % brighter or darker, other split",
        "near leak",
        5,
        _copied("test", _brighter),
    ),
    ("resized, same class", "near duplicate", 7, _copied("class", _resized)),
)
