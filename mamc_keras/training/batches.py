"""The batches that train: photos as they come, or cached features."""

from mamc_keras.data.pipeline import n_pair_dataset
from mamc_keras.data.pipeline import plain_dataset
from mamc_keras.feature_cache import cached_features
from mamc_keras.feature_cache import feature_batches
from mamc_keras.feature_cache import plain_feature_batches
from mamc_keras.models.split import split_encoder

# One fixed set of augmented views serves the runs of every seed.
VIEW_SEED = 0


def live_batches(recipe, model, splits, progress=None):
    """Every stage trains on freshly decoded and augmented photos.

    Args:
        recipe: `Recipe`.
        model: untrained `MAMCImageClassifier`.
        splits: dict of `ImageSet`.
        progress: not needed here.

    Returns:
        `(trained, stream, validation)`: the model that `fit` trains, a
        function `(plan, epoch, step) -> tf.data.Dataset` of a plan's batches
        from there on, and a dataset of the validation images or `None`.
    """

    def stream(plan, epoch, step):
        return n_pair_dataset(
            splits["train"],
            plan,
            recipe.image_size,
            recipe.augmentation,
            recipe.seed,
            epoch,
            step,
            crop_to_aspect_ratio=recipe.crop_to_aspect_ratio,
        )

    validation = None
    if len(splits["val"]):
        validation = plain_dataset(
            splits["val"], recipe.image_size, 32, recipe.crop_to_aspect_ratio
        )
    return model, stream, validation


def cached_batches(recipe, model, splits, progress=None):
    """The upper stages train on cached output of the frozen lower ones.

    Args:
        recipe: `Recipe`.
        model: untrained `MAMCImageClassifier`.
        splits: dict of `ImageSet`.
        progress: callable `(what, done, total)`, or `None`.

    Returns:
        As `live_batches`; the model that `fit` trains is the upper half.
    """
    lower, upper = split_encoder(model.backbone.encoder, recipe.image_size)
    lower.trainable = False
    settings = {
        "image_size": list(recipe.image_size),
        "crop_to_aspect_ratio": recipe.crop_to_aspect_ratio,
        "augmentation": recipe.augmentation,
        "views": recipe.cached_views,
        "seed": VIEW_SEED,
    }

    def features(name, **changes):
        step = progress and (
            lambda done, total: progress(f"cache {name}", done, total)
        )
        return cached_features(
            lower,
            model.preprocessor,
            splits[name],
            {**settings, **changes},
            recipe.cache_gb,
            step,
        )

    config = model.get_config()
    config.update(backbone=upper, preprocessor=None, image_size=None)
    trained = type(model).from_config(config)
    train_features = features("train")

    def stream(plan, epoch, step):
        return feature_batches(
            train_features,
            splits["train"].labels,
            plan,
            recipe.seed,
            recipe.epochs,
            epoch,
            step,
        )

    validation = None
    if len(splits["val"]):
        rows = features("val", augmentation="none", views=1)
        validation = plain_feature_batches(rows, splits["val"].labels)
    return trained, stream, validation
