import dataclasses
from pathlib import Path

import pytest

from mamc_keras import Recipe
from mamc_keras.recipe import load_recipe

RECIPES = Path(__file__).parents[1] / "recipes"


def test_json_round_trip():
    recipe = Recipe(image_size=(96, 64), grid_size=None, term_weights=(1, 2, 3))
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_unknown_field_is_named():
    with pytest.raises(ValueError, match="no field epoch. It has: .*epochs"):
        Recipe.from_json('{"epoch": 3}')


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("images_per_class", 1),
        ("epochs", 0),
        ("cached_views", 0),
        ("classes_per_batch", 0),
        ("validation_fraction", 1.0),
        ("dropout", -0.1),
        ("image_size", (224, 16)),
    ],
)
def test_impossible_values_are_refused(field, value):
    with pytest.raises(ValueError, match="Received"):
        dataclasses.replace(Recipe(), **{field: value})


@pytest.mark.parametrize(
    "file", [f for f in RECIPES.glob("*.py") if "recipe = " in f.read_text()]
)
def test_recipe_files_hold_a_recipe(file):
    assert load_recipe(file).source


def test_recipe_file_errors(tmp_path):
    with pytest.raises(ValueError, match="no recipe file"):
        load_recipe(tmp_path / "missing.py")
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match="must define"):
        load_recipe(tmp_path / "empty.py")
