"""Mixing, losses, recipes and the loop: recordings -> weights."""

from separation.training.loop import train as train
from separation.training.recipes import RECIPES as RECIPES
from separation.training.recipes import Recipe as Recipe
