"""The command that trains the same again."""

import dataclasses

from mamc_keras.recipe import Recipe


def command_of(recipe):
    """Writes a recipe as options of `mamc train`.

    Args:
        recipe: dict, as recipe.json has it.

    Returns:
        list of str, only what differs from the defaults.
    """
    words = ["mamc", "train", recipe["source"]]
    for field in dataclasses.fields(Recipe):
        value = recipe.get(field.name, field.default)
        value = tuple(value) if isinstance(value, list) else value
        if field.name == "source" or value == field.default:
            continue
        option = field.name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        elif isinstance(value, tuple):
            words += [f"--{option}", *map(str, value)]
        else:
            words += [f"--{option}", str(value)]
    return words
