"""What `mamc_loss.py` accepts, and what it says otherwise."""

from keras import ops


def one_per_image(values, name, embeddings):
    """Flattens a value an image, after checking the shapes.

    Args:
        values: tensor `(B,)` or `(B, 1)`.
        name: str, what the values are, for the error.
        embeddings: tensor `(B, P, D)`.

    Returns:
        Tensor `(B,)`.

    Raises:
        ValueError: on other shapes.
    """
    values = ops.convert_to_tensor(values)
    shape, wanted = tuple(values.shape), tuple(embeddings.shape)
    if len(wanted) != 3 or None in wanted[1:]:
        raise ValueError(
            "MAMC needs embeddings (batch_size, num_attentions, "
            "embedding_dim), the last two static. Received: embeddings of "
            f"shape {wanted}. Give it the output of OSME."
        )
    fits = len(shape) in (1, 2) and shape[1:] in ((), (1,))
    if not fits or (
        None not in (shape[0], wanted[0]) and shape[0] != wanted[0]
    ):
        raise ValueError(
            f"MAMC needs {name} of shape (batch_size,). Received: {name} of "
            f"shape {shape} for embeddings of shape {wanted}. Give one number "
            "an image; class numbers instead of one-hot vectors."
        )
    return ops.reshape(values, (-1,))


def check_conventions(temperature, positives, normalizer):
    """Refuses conventions that `mamc_terms` does not know.

    Args:
        temperature: float or `None`.
        positives: str.
        normalizer: str.

    Raises:
        ValueError: names the argument.
    """
    if temperature is not None and not temperature > 0:
        raise ValueError(
            "The temperature of MAMC divides the similarities. Received: "
            f"temperature={temperature}. Set it above 0, or to None."
        )
    if positives not in ("mean", "sum"):
        raise ValueError(
            "MAMC takes the mean or the sum over an anchor's positives. "
            f'Received: positives={positives!r}. Use "mean" or "sum".'
        )
    if normalizer not in ("anchors", "pairs"):
        raise ValueError(
            "MAMC divides by the number of anchors or of pairs. Received: "
            f'normalizer={normalizer!r}. Use "anchors" or "pairs".'
        )


def small_labels(labels):
    """Replaces labels by how many labels of the batch are smaller.

    Args:
        labels: integer tensor `(B,)`, of any size.

    Returns:
        int32 tensor `(B,)`, equal exactly where the labels are.
    """
    smaller = ops.greater(labels[:, None], labels[None, :])
    return ops.sum(ops.cast(smaller, "int32"), axis=1)
