"""Mixing, losses, recipes and the loop: recordings -> weights."""

from separation.training.loop import train as train
from separation.training.recipe import Recipe as Recipe
from separation.training.recipes import RECIPES as RECIPES
