"""Cuts a network in two, so that the frozen half need not run every epoch."""

import keras


def split_encoder(encoder, image_size):
    """Cuts an encoder before its last halving of the map.

    The cut lies where one tensor carries everything, as late as possible on
    the second smallest map. Tensors with more than twice the fewest channels
    there are the insides of blocks and too large to cache. For
    EfficientNet-Lite0 at 224 px the cut is the 14 x 14 x 112 output of the
    fifth stage.

    Args:
        encoder: functional `keras.Model` with a 4-D output.
        image_size: `(height, width)` in pixels, used to measure the maps.

    Returns:
        `(lower, upper)`: two `keras.Model` that share the encoder's layers,
        `upper(lower(x)) == encoder(x)`.

    Raises:
        ValueError: when the network has no such cut.
    """
    if len(getattr(encoder.output, "shape", ())) != 4:
        raise ValueError(
            "This backbone cannot be cut into a frozen and a trained half. "
            f"Received: {encoder.name}, whose output is not one feature map. "
            "Train it whole: fast=False."
        )
    candidates = _bottlenecks(encoder)
    probe = keras.Model(encoder.input, [*candidates, encoder.output])
    channels = encoder.input_shape[-1]
    shapes = probe.compute_output_shape((1, *image_size, channels))
    final_rows = shapes[-1][1]
    larger = [
        (shape[1], shape[-1], tensor)
        for shape, tensor in zip(shapes[:-1], candidates, strict=True)
        if len(shape) == 4 and shape[1] > final_rows
    ]
    if not larger:
        raise ValueError(
            "This backbone cannot be cut into a frozen and a trained half. "
            f"Received: {encoder.name} with maps of {final_rows} rows only. "
            "Train it whole: fast=False."
        )
    rows = min(rows for rows, _, _ in larger)
    fewest = min(width for height, width, _ in larger if height == rows)
    cut = [
        tensor
        for height, width, tensor in larger
        if height == rows and width <= 2 * fewest
    ][-1]
    return (
        keras.Model(encoder.input, cut, name="lower"),
        keras.Model(cut, encoder.output, name="upper"),
    )


def _bottlenecks(encoder):
    """Outputs of the layers that every path from input to output crosses."""
    layers = list(encoder.operations)
    position = {id(layer): i for i, layer in enumerate(layers)}
    # furthest[i]: the last layer that reads the output of layer i.
    furthest = [0] * len(layers)
    for i, layer in enumerate(layers):
        node = layer._inbound_nodes[0]
        for parent in node.parent_nodes:
            j = position.get(id(parent.operation))
            if j is not None:
                furthest[j] = max(furthest[j], i)
    found = []
    reach = 0
    for i, layer in enumerate(layers[:-1]):
        output = layer.output
        if reach <= i and i > 0 and not isinstance(output, (list, tuple)):
            found.append(output)
        reach = max(reach, furthest[i])
    return found
