"""Photos of any size inside the exported graph, shrunk with antialiasing.

TensorFlow's antialiased resize does not convert to built-in operations, so
the same weights are made here and applied as two matrix products.
"""

from keras import ops


def shrink(images, image_size, crop_to_aspect_ratio=True):
    """Cuts and shrinks one photo as training does.

    Args:
        images: float32 tensor `(1, any height, any width, 3)`, 0..255.
        image_size: `(height, width)` in pixels.
        crop_to_aspect_ratio: bool. Cut around the centre to the shape of
            `image_size` first, or else squash the whole photo.

    Returns:
        float32 tensor `(1, height, width, 3)` of whole grey levels.
    """
    height, width = image_size
    rows, columns = ops.shape(images)[1], ops.shape(images)[2]
    photo = images[0]
    if crop_to_aspect_ratio:
        new_rows = _whole(columns, height, width, rows)
        new_columns = _whole(rows, width, height, columns)
        top = (rows - new_rows) // 2
        left = (columns - new_columns) // 2
        photo = photo[top : top + new_rows, left : left + new_columns]
        rows, columns = new_rows, new_columns
    photo = ops.reshape(photo, (rows, columns * 3))
    photo = ops.matmul(_triangles(rows, height), photo)
    photo = ops.reshape(photo, (height, columns, 3))
    photo = ops.reshape(ops.transpose(photo, (1, 0, 2)), (columns, height * 3))
    photo = ops.matmul(_triangles(columns, width), photo)
    photo = ops.reshape(photo, (width, height, 3))
    photo = ops.transpose(photo, (1, 0, 2))[None]
    return ops.clip(ops.round(photo), 0.0, 255.0)


def _whole(length, numerator, denominator, most):
    """Whole pixels the way Keras rounds them, at least one."""
    scaled = ops.cast(length * numerator, "float32") / denominator
    return ops.clip(ops.cast(scaled, "int32"), 1, most)


def _triangles(old_size, size):
    """Weight of every old pixel in every new one, `(size, old_size)`."""
    step = ops.cast(old_size, "float32") / size
    radius = ops.maximum(step, 1.0)
    centres = (ops.arange(size, dtype="float32") + 0.5) * step
    pixels = ops.cast(ops.arange(old_size), "float32") + 0.5
    distances = ops.abs(pixels[None] - centres[:, None])
    weights = ops.maximum(1.0 - distances / radius, 0.0)
    return weights / ops.sum(weights, axis=1, keepdims=True)
