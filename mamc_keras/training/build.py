"""From a recipe to a compiled classifier."""

import keras

from mamc_keras.long_tail import logit_offsets
from mamc_keras.mamc_loss import MAMCLoss
from mamc_keras.models.backbones import find_preset
from mamc_keras.models.backbones import is_ours
from mamc_keras.models.backbones import load_backbone
from mamc_keras.models.classifier import MAMCImageClassifier
from mamc_keras.models.cross_entropy import CrossEntropy
from mamc_keras.models.encoder import batch_norms
from mamc_keras.models.preprocessing import as_preprocessor

HEAD = (
    "num_attentions",
    "embedding_dim",
    "reduction_ratio",
    "grid_size",
    "use_gates",
)


def build_model(recipe, class_names, mamc_loss=None):
    """Builds the classifier of a recipe on its pretrained network.

    On a trained preset of this package the attention branches go on from
    where they were, and so do the classes of the same name.

    Args:
        recipe: `Recipe`.
        class_names: sequence of str.
        mamc_loss: as in `train`.

    Returns:
        A `MAMCImageClassifier`.
    """
    if mamc_loss is None:
        mamc_loss = MAMCLoss(
            normalize=recipe.normalize,
            temperature=recipe.temperature,
            positives=recipe.positives,
            normalizer=recipe.normalizer,
            term_weights=recipe.term_weights,
        )
    head = {name: getattr(recipe, name) for name in HEAD}
    settings = {
        "mamc_loss": mamc_loss,
        "mamc_weight": recipe.mamc_weight,
        "dropout": recipe.dropout,
        "image_size": recipe.image_size,
        "class_names": class_names,
    }
    if is_ours(find_preset(recipe.preset)):
        model = _go_on(recipe, head, settings)
    else:
        backbone, preprocessor = load_backbone(recipe.preset, recipe.image_size)
        model = MAMCImageClassifier(
            backbone,
            len(class_names),
            as_preprocessor(
                preprocessor, recipe.image_size, recipe.crop_to_aspect_ratio
            ),
            **head,
            **settings,
        )
    if recipe.freeze_batch_norm:
        for layer in batch_norms(model.backbone):
            layer.trainable = False
    return model


def _go_on(recipe, head, settings):
    """Builds the classifier on a trained one, OSME and known classes kept."""
    trained = MAMCImageClassifier.from_preset(recipe.preset)
    stored = trained.get_config()
    differ = [
        f"{name}={stored[name]} instead of {head[name]}"
        for name in head
        if stored[name] != head[name]
    ]
    if differ:
        raise ValueError(
            "A trained preset keeps its head. Received: the preset "
            f"{recipe.preset!r} with {'; '.join(differ)}. Set these fields of "
            "the recipe to the preset's."
        )
    size = trained.backbone.input_shape[1:3]
    if None not in size and tuple(recipe.image_size) != size:
        raise ValueError(
            "A trained preset keeps its image size. Received: image_size="
            f"{recipe.image_size} and the preset {recipe.preset!r} for {size}. "
            f"Set image_size to {size}."
        )
    return trained.with_classes(
        preprocessor=as_preprocessor(
            trained.preprocessor, recipe.image_size, recipe.crop_to_aspect_ratio
        ),
        **settings,
    )


def compile_model(model, recipe, steps_per_epoch, class_counts):
    """Gives the model its loss and optimiser: two rates along a cosine.

    Args:
        model: `MAMCImageClassifier`.
        recipe: `Recipe`.
        steps_per_epoch: int.
        class_counts: int array `(num_classes,)`, training images.
    """
    steps = recipe.epochs * steps_per_epoch
    warmup = min(recipe.warmup_epochs, recipe.epochs / 2) * steps_per_epoch
    cosine = keras.optimizers.schedules.CosineDecay
    rate = recipe.learning_rate
    if warmup:
        slow = cosine(
            0.0, steps - warmup, warmup_target=rate, warmup_steps=warmup
        )
    else:
        slow = cosine(rate, steps)
    fast = cosine(recipe.head_learning_rate, steps)

    def adamw(schedule):
        return keras.optimizers.AdamW(
            schedule, weight_decay=recipe.weight_decay
        )

    rates = keras.optimizers.OptimizerMap(adamw(slow))
    rates["(.*/)?(osme|predictions)/.*"] = adamw(fast)
    loss = CrossEntropy(
        recipe.label_smoothing,
        logit_offsets(class_counts, recipe.logit_adjustment),
    )
    model.compile(optimizer=keras.optimizers.MultiOptimizer(rates), loss=loss)
    model.optimizer.build(model.trainable_variables)
    _build_metrics(model)


def _build_metrics(model):
    """Makes the metrics' variables, which a resumed run fills at once.

    Keras would make them during the first step.
    """
    import tensorflow as tf

    @tf.function
    def update():
        tf.distribute.get_strategy().run(on_each)

    def on_each():
        logits = tf.zeros((1, model.num_classes))
        model.compute_metrics(
            None, tf.zeros((1,), tf.int64), {"logits": logits}
        )

    update()
    model.reset_metrics()
