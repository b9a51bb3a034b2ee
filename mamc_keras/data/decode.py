"""Bytes of an image file to RGB pixels, the same for every file format.

Checks, training, evaluation and prediction all decode here, so a file that
passed the checks cannot fail later.
"""

import tensorflow as tf

# The orientation tag (0x0112) in the first directory of a photo's EXIF block:
# "Exif", byte order, offset 8, number of entries, then entries of 12 bytes.
# Intel and Motorola byte order; the captured byte is the value 1 to 8.
_ORIENTATION = (
    r"^\C*?Exif\x00\x00(?:"
    r"II\x2a\x00\x08\x00\x00\x00\C{2}(?:\C{12}){0,17}?"
    r"\x12\x01\x03\x00\x01\x00\x00\x00([\x01-\x08])\C*"
    r"|"
    r"MM\x00\x2a\x00\x00\x00\x08\C{2}(?:\C{12}){0,17}?"
    r"\x01\x12\x00\x03\x00\x00\x00\x01\x00([\x01-\x08])\C*"
    r")$"
)


def decode_image(contents):
    """Decodes JPEG, PNG, GIF, BMP or WebP, whatever the file is called.

    Grey, palette, CMYK and 16-bit images become 8-bit RGB, transparency is
    dropped, of an animation the first picture is taken, and a photo taken
    with the camera on its side is turned upright as its EXIF tag says.

    Args:
        contents: string tensor or bytes. The encoded image.

    Returns:
        uint8 tensor of shape `(height, width, 3)`.
    """
    contents = tf.convert_to_tensor(contents)
    image = tf.cond(
        tf.io.is_jpeg(contents),
        lambda: turn_upright(
            # The slow, exact transform is the one Pillow and phones use.
            tf.io.decode_jpeg(
                contents, channels=3, dct_method="INTEGER_ACCURATE"
            ),
            orientation(contents),
        ),
        lambda: decode_other(contents),
    )
    image.set_shape((None, None, 3))
    return image


def decode_other(contents):
    """Decodes an image that is no JPEG: uint8 `(height, width, 3)`."""
    image = tf.io.decode_image(contents, channels=3, expand_animations=False)
    image.set_shape((None, None, 3))
    return image


def orientation(contents):
    """Reads how a JPEG has to be turned.

    Args:
        contents: string tensor. The encoded JPEG.

    Returns:
        int32 scalar, the EXIF orientation 1 to 8; 1, upright, without one.
    """
    # The tag stands in the first entries; 512 bytes keep this cheap.
    head = tf.strings.substr(contents, 0, 512)
    value = tf.strings.regex_replace(
        head, _ORIENTATION, r"\1\2", replace_global=False
    )
    return tf.cond(
        tf.strings.length(value) == 1,
        lambda: tf.cast(tf.io.decode_raw(value, tf.uint8)[0], tf.int32),
        lambda: tf.constant(1),
    )


def turn_upright(image, value):
    """Undoes an EXIF orientation.

    Args:
        image: tensor of shape `(height, width, 3)`.
        value: int32 scalar, 1 to 8.

    Returns:
        Tensor of the same type, height and width exchanged from 5 on.
    """

    def turn():
        turned = tf.cond(
            value >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image
        )
        rows, columns = stored_backwards(value)
        turned = tf.cond(rows, lambda: turned[::-1], lambda: turned)
        return tf.cond(columns, lambda: turned[:, ::-1], lambda: turned)

    return tf.cond(value == 1, lambda: image, turn)


def stored_backwards(value):
    """Tells what an orientation has turned round.

    Args:
        value: int32 scalar, 1 to 8.

    Returns:
        Two bool scalars: whether rows are stored from the bottom, and columns
        from the right, after rows and columns were exchanged (from 5 on).
    """
    rows = tf.reduce_any(value == tf.constant([3, 4, 7, 8]))
    columns = tf.reduce_any(value == tf.constant([2, 3, 6, 7]))
    return rows, columns


def resize_image(image, image_size, crop_to_aspect_ratio):
    """Resizes to the pixels that `keras.layers.Resizing` gives.

    Args:
        image: uint8 tensor of shape `(any height, any width, 3)`.
        image_size: tuple of two ints, height and width.
        crop_to_aspect_ratio: bool. Cut around the centre, or squash.

    Returns:
        uint8 tensor of shape `(height, width, 3)`.
    """
    if crop_to_aspect_ratio:
        image = _crop_to_aspect_ratio(image, image_size)
    return resize_whole(image, image_size)


def resize_whole(image, image_size):
    """Bilinear and antialiased: uint8 `(height, width, 3)`."""
    image = tf.image.resize(image, image_size, antialias=True)
    image = tf.saturate_cast(tf.round(image), tf.uint8)
    image.set_shape((*image_size, 3))
    return image


def _crop_to_aspect_ratio(image, image_size):
    # Whole pixels the way Keras rounds them, in float32 as there.
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    crop_height = _ratio(width * image_size[0], image_size[1])
    crop_width = _ratio(height * image_size[1], image_size[0])
    crop_height = tf.clip_by_value(crop_height, 1, height)
    crop_width = tf.clip_by_value(crop_width, 1, width)
    top = (height - crop_height) // 2
    left = (width - crop_width) // 2
    return image[top : top + crop_height, left : left + crop_width]


def _ratio(numerator, denominator):
    return tf.cast(tf.cast(numerator, tf.float32) / denominator, tf.int32)
