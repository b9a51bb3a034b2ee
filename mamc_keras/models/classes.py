"""A trained classifier for other classes: more, fewer, or other names."""

import logging

import numpy as np

_log = logging.getLogger("mamc_keras")


class ClassesMixin:
    """`with_classes`, `add_classes`, ... of `MAMCImageClassifier`.

    Each gives a new classifier on the same backbone; save it as a preset, and
    train it on photos of the new classes.
    """

    def with_classes(
        self, num_classes=None, class_names=None, reset_osme=False, **changes
    ):
        """Makes a classifier for other classes on this trained network.

        Classes of the same name in both keep their row of the classifier, so
        that they are recognised as before; the other rows start afresh.

        Args:
            num_classes: int; `None` counts the names.
            class_names: sequence of str, or `None`: no row is kept.
            reset_osme: bool. Start attention branches and all rows afresh.
            **changes: other arguments of the constructor, such as
                `mamc_weight` or `dropout`.

        Returns:
            A new `MAMCImageClassifier` that shares this one's backbone.

        Raises:
            ValueError: when neither `num_classes` nor `class_names` is given,
                or the weights are quantised.
        """
        if class_names is None and num_classes is None:
            raise ValueError(
                "The new classes are not known. Received: num_classes=None "
                "and class_names=None. Pass one of them."
            )
        config = self.get_config()
        if config["head_dtype"] is not None:
            raise ValueError(
                "Quantised weights cannot be trained for other classes. "
                "Received: a quantised classifier. Load the preset that was "
                "saved before quantize()."
            )
        config.update(backbone=self.backbone, preprocessor=self.preprocessor)
        config["num_classes"] = num_classes or len(class_names)
        config["class_names"] = class_names
        config.update(changes)
        model = type(self).from_config(config)
        kept = 0
        if not reset_osme:
            model.osme.set_weights(self.osme.get_weights())
            kept = _copy_rows(self, model)
        _log.info(
            "New classifier for %d classes: %d keep their weights; the "
            "trained OSME is %s.",
            model.num_classes,
            kept,
            "started afresh" if reset_osme else "kept",
        )
        return model

    def add_classes(self, names):
        """Adds classes after the ones that this classifier knows.

        Args:
            names: sequence of str, none of them known yet.

        Returns:
            A new `MAMCImageClassifier`; the added rows start afresh.
        """
        known = self._known_names()
        again = sorted(set(names) & set(known))
        if again or len(set(names)) < len(names) or not names:
            raise ValueError(
                "New classes need new names, each given once. Received: "
                f"names={list(names)!r}, of which {again!r} are known. Give "
                "other names, or leave these out."
            )
        return self.with_classes(class_names=(*known, *names))

    def drop_classes(self, names):
        """Takes classes out; the others keep their weights and order.

        Args:
            names: sequence of str.

        Returns:
            A new `MAMCImageClassifier`.
        """
        known = self._check_known(names)
        left = [name for name in known if name not in set(names)]
        if len(left) < 2:
            raise ValueError(
                "A classifier needs two classes. Received: "
                f"names={list(names)!r}, which leave {left!r}. Drop fewer."
            )
        return self.with_classes(class_names=left)

    def rename_classes(self, new_names):
        """Gives classes other names, and changes nothing else.

        Args:
            new_names: dict of old name to new name.

        Returns:
            A new `MAMCImageClassifier`.
        """
        known = self._check_known(new_names)
        names = [new_names.get(name, name) for name in known]
        if len(set(names)) < len(names):
            raise ValueError(
                "Two classes would have one name. Received: "
                f"new_names={new_names!r}. Give each class a name of its own."
            )
        model = self.with_classes(class_names=names)
        model.output_dense.set_weights(self.output_dense.get_weights())
        model.calibration = self.calibration  # It knows no names.
        return model

    def _known_names(self):
        if self.class_names is None:
            raise ValueError(
                "This classifier has no class names. Received: "
                "class_names=None. Build it with class_names, or use "
                "with_classes(num_classes=...)."
            )
        return self.class_names

    def _check_known(self, names):
        known = self._known_names()
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(
                f"There are no such classes. Received: {unknown!r}. The "
                f"classes are {', '.join(known[:10])}"
                f"{', ...' if len(known) > 10 else ''}."
            )
        return known


def _copy_rows(old, new):
    """Copies kernel columns and biases of the names that both models have.

    Args:
        old: trained `MAMCImageClassifier`.
        new: `MAMCImageClassifier` on the same embeddings.

    Returns:
        int, the number of classes copied.
    """
    place = {name: i for i, name in enumerate(old.class_names or ())}
    pairs = [
        (place[name], i)
        for i, name in enumerate(new.class_names or ())
        if name in place
    ]
    if not pairs:
        return 0
    before, after = np.transpose(pairs)
    kernel, bias = new.output_dense.get_weights()
    old_kernel, old_bias = old.output_dense.get_weights()
    kernel[:, after], bias[after] = old_kernel[:, before], old_bias[before]
    new.output_dense.set_weights([kernel, bias])
    return len(pairs)
