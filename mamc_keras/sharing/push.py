"""From a run or preset to a folder, and to a model hub, that others load."""

import shutil
from pathlib import Path

import keras_hub

from mamc_keras.evaluation.evaluate import load_model
from mamc_keras.evaluation.evaluate import preset_folder
from mamc_keras.files import atomic_path
from mamc_keras.sharing.card import model_card
from mamc_keras.sharing.half_precision import halve_weights

CARD_FILE = "README.md"
HUGGING_FACE, KAGGLE = "hf://", "kaggle://"
# What only training needs.
NOT_SHARED = ("training.json",)


def stage(path, folder, name=None, license=None, data=None, half=False):
    """Puts preset, .tflite files and model card into one folder.

    Args:
        path: str or Path of a run folder or preset folder.
        folder: str or Path to write, replaced when it exists.
        name: str; the folder's by default.
        license: str, an identifier such as `"mit"`, or `None`.
        data: str, for the card: which photos, where from, on what terms.
        half: bool. Kernels in float16, half the size.

    Returns:
        `Path` of the folder.
    """
    preset = preset_folder(path)
    run = preset.parent if (preset.parent / "recipe.json").is_file() else None
    folder = Path(folder)
    with atomic_path(folder) as temporary:
        shutil.copytree(
            preset, temporary, ignore=shutil.ignore_patterns(*NOT_SHARED)
        )
        if half:
            halve_weights(temporary)
        for file in sorted(run.glob("export/*.tflite")) if run else ():
            shutil.copyfile(file, temporary / file.name)
        card = temporary / CARD_FILE
        # A card that somebody wrote by hand is worth more than ours.
        if run or not card.exists():
            text = model_card(
                name or folder.name, load_model(temporary), run, license, data
            )
            card.write_text(text, encoding="utf-8")
    return folder


def check_handle(uri):
    """Makes sure that a hub's handle can be one.

    Args:
        uri: str.

    Raises:
        ValueError: when it cannot.
    """
    parts = uri.partition("://")[2].split("/")
    right = {HUGGING_FACE: (1, 2), KAGGLE: (4,)}
    for prefix, counts in right.items():
        if uri.startswith(prefix) and len(parts) in counts and all(parts):
            return
    raise ValueError(
        f"This is no handle of a hub. Received: {uri!r}. Give "
        f"{HUGGING_FACE}USER/NAME or {KAGGLE}USER/NAME/keras/VARIATION."
    )


def upload(folder, uri):
    """Sends a staged folder to Hugging Face or Kaggle, by KerasHub.

    Args:
        folder: `Path` that `stage` wrote.
        uri: str, `hf://USER/NAME` or `kaggle://USER/NAME/keras/VARIATION`.

    Raises:
        ConnectionError: when the hub cannot be reached.
        ValueError: when the hub refuses.
    """
    check_handle(uri)
    try:
        if uri.startswith(HUGGING_FACE):
            _card_first(folder, uri.removeprefix(HUGGING_FACE))
        keras_hub.upload_preset(uri, str(folder))
    except Exception as error:
        if isinstance(error, (ConnectionError, ImportError)):
            raise
        raise ValueError(
            f"The hub did not take the model ({error}). Received: {uri!r}. "
            "Log in first (hf auth login, or a Kaggle API token), and look "
            "whether the handle is yours. The folder to upload is "
            f"{str(folder)!r}."
        ) from error


def _card_first(folder, repo_id):
    """Uploads the card, because KerasHub would write its own over it."""
    import huggingface_hub

    repo = huggingface_hub.create_repo(repo_id=repo_id, exist_ok=True)
    huggingface_hub.upload_file(
        path_or_fileobj=str(folder / CARD_FILE),
        path_in_repo=CARD_FILE,
        repo_id=repo.repo_id,
    )
