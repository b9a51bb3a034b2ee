"""What other parts ask of a classifier: its names, its way to crop."""


def crop_of(model):
    """Tells whether a model wants the centre of a photo or all of it.

    Args:
        model: `MAMCImageClassifier`.

    Returns:
        bool.
    """
    converter = getattr(model.preprocessor, "image_converter", None)
    return getattr(converter, "crop_to_aspect_ratio", True)


def class_names(model):
    """Names of a model's classes, numbers when it has none.

    Args:
        model: `MAMCImageClassifier`.

    Returns:
        tuple of str.
    """
    return model.class_names or tuple(map(str, range(model.num_classes)))
