"""What the first bytes of an image file say, before anything is decoded.

A few bytes can promise a picture that fills all memory, so size and colours
are read here first. Nothing raises on damaged bytes.
"""

import dataclasses
import struct


@dataclasses.dataclass(frozen=True)
class Header:
    """What a file says of itself.

    Args:
        format: str, or `None` for something that is no image.
        width: int, pixels as stored; 0 where unknown.
        height: int, likewise.
        colours: str. `"cmyk"`, `"grey"`, `"grey alpha"`, `"alpha"`, or `""`
            for plain RGB and what is not looked at.
        bits: int. Bits of one colour of one pixel.
        frames: int. Pictures of a GIF.
        complete: bool. False where the file certainly ends too early.
    """

    format: str | None
    width: int = 0
    height: int = 0
    colours: str = ""
    bits: int = 8
    frames: int = 1
    complete: bool = True


def read_header(contents):
    """Reads format, size and colours of an encoded image.

    Args:
        contents: bytes.

    Returns:
        A `Header`.
    """
    found = image_format(contents)
    parse = {
        "JPEG": _jpeg,
        "PNG": _png,
        "GIF": _gif,
        "BMP": _bmp,
        "WebP": _webp,
    }.get(found)
    if parse is None:
        return Header(found)
    try:
        return Header(found, **parse(contents))
    except (struct.error, IndexError):
        # A wrong length leads past the end too, but then the end is there.
        return Header(found, complete=contents.endswith(b"\xff\xd9"))


def image_format(contents):
    """Tells an image format by its first bytes.

    Args:
        contents: bytes.

    Returns:
        str, or `None` for something that is no image.
    """
    brand = contents[8:12] if contents[4:8] == b"ftyp" else b""
    tests = {
        "JPEG": contents.startswith(b"\xff\xd8\xff"),
        "PNG": contents.startswith(b"\x89PNG\r\n\x1a\n"),
        "GIF": contents.startswith((b"GIF87a", b"GIF89a")),
        "BMP": contents.startswith(b"BM"),
        "WebP": contents[:4] == b"RIFF" and contents[8:12] == b"WEBP",
        "TIFF": contents.startswith((b"II*\x00", b"MM\x00*")),
        "AVIF": brand in (b"avif", b"avis"),
        "HEIC": brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"),
    }
    return next((name for name, found in tests.items() if found), None)


def _jpeg(contents):
    """Walks the segments up to the first scan."""
    fields, position = {}, 2
    while True:
        mark, code = contents[position], contents[position + 1]
        if mark != 0xFF:
            return fields  # Damaged, which is not to say cut off.
        if code == 0xFF:  # Segments may be padded.
            position += 1
            continue
        if code == 0xDA:
            # In compressed pixels FF comes only before 00 and restart marks.
            end = contents.find(b"\xff\xd9", position)
            return {**fields, "complete": end >= 0}
        if code == 0x01 or 0xD0 <= code <= 0xD9:
            position += 2
            continue
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            bits, height, width, channels = struct.unpack_from(
                ">BHHB", contents, position + 4
            )
            colours = {1: "grey", 4: "cmyk"}.get(channels, "")
            fields = {
                "width": width,
                "height": height,
                "colours": colours,
                "bits": bits,
            }
        position += 2 + struct.unpack_from(">H", contents, position + 2)[0]


def _png(contents):
    width, height, bits, kind = struct.unpack_from(">IIBB", contents, 16)
    return {
        "width": width,
        "height": height,
        "colours": {0: "grey", 4: "grey alpha", 6: "alpha"}.get(kind, ""),
        "bits": bits,
        "complete": contents.rfind(b"IEND") >= 0,
    }


def _bmp(contents):
    (size,) = struct.unpack_from("<I", contents, 2)
    width, height = struct.unpack_from("<ii", contents, 18)
    return {
        "width": abs(width),
        "height": abs(height),
        "complete": len(contents) >= size,
    }


def _webp(contents):
    (size,) = struct.unpack_from("<I", contents, 4)
    chunk = contents[12:16]
    if chunk == b"VP8X":
        width = int.from_bytes(contents[24:27], "little") + 1
        height = int.from_bytes(contents[27:30], "little") + 1
    elif chunk == b"VP8L":
        (both,) = struct.unpack_from("<I", contents, 21)
        width, height = (both & 0x3FFF) + 1, (both >> 14 & 0x3FFF) + 1
    else:
        width, height = struct.unpack_from("<HH", contents, 26)
        width, height = width & 0x3FFF, height & 0x3FFF
    return {
        "width": width,
        "height": height,
        "complete": len(contents) >= size + 8,
    }


def _gif(contents):
    """Counts the pictures without unpacking them."""
    width, height, flags = struct.unpack_from("<HHB", contents, 6)
    fields = {"width": width, "height": height, "frames": 0}
    position = 13 + _palette(flags)
    while position < len(contents) and contents[position] in b"\x21\x2c":
        if contents[position] == 0x2C:
            left, top, wide, high, flags = struct.unpack_from(
                "<HHHHB", contents, position + 1
            )
            fields["width"] = max(fields["width"], left + wide)
            fields["height"] = max(fields["height"], top + high)
            fields["frames"] += 1
            position += 11 + _palette(flags)
        else:
            position += 2
        while position < len(contents) and contents[position]:
            position += 1 + contents[position]
        position += 1
    ended = contents[position : position + 1] == b";"
    return {
        **fields,
        "complete": ended or contents.rstrip(b"\x00").endswith(b";"),
    }


def _palette(flags):
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0
