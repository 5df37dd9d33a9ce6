"""Recipes: records that can be written down, and the data they read, in its real layout made small."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from separation.errors import DataError
from separation.models import build
from separation.training import RECIPES, Recipe, disentangling, losses, objectives, recipes
from separation.training.data import DATA, KEPT_FOR_TEST, speakers, vocals
from separation.training.mixing import SpeakerMixer, VocalMixer
from tests.datasets.tiny_corpora import make_all

each_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))


@each_recipe
def test_a_recipe_is_plain_data_and_builds_its_model(recipe: Recipe) -> None:
    assert Recipe(**json.loads(json.dumps(recipe.to_dict()))) == recipe
    model = build(recipe.architecture, recipe.arguments)
    pit = model.spec.permutation_invariant
    objectives.build(recipe.objective, recipe.losses, recipe.intermediate, pit=pit)
    terms = disentangling.TERMS if recipe.objective == "disentangled" else losses.LOSSES
    assert {*recipe.losses, *recipe.intermediate} <= set(terms)
    assert recipe.data in DATA
    assert recipe.warmup + recipe.decay <= recipe.steps


def test_recipes_are_kept_under_their_names() -> None:
    assert {name: recipe.name for name, recipe in RECIPES.items()} == {name: name for name in RECIPES}
    assert all(recipes.get(name) is recipe for name, recipe in RECIPES.items())


def test_an_unknown_recipe_is_refused_with_the_list() -> None:
    known = ", ".join(sorted(RECIPES))
    with pytest.raises(DataError, match=rf"Train 'drums': there is no such recipe\. Use one of {known}"):
        recipes.get("drums")


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(DataError, match="Use one of no, bf16"):
        RECIPES["vocals"].with_changes(precision="fp8")


def test_changes_that_are_none_are_no_changes() -> None:
    recipe = RECIPES["vocals"]
    assert recipe.with_changes(steps=None, seed=None) == recipe
    assert recipe.with_changes(steps=7) == dataclasses.replace(recipe, steps=7)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_all(tmp_path_factory.mktemp("data"))


@each_recipe
def test_mixers_give_what_the_model_separates(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    sides = DATA[recipe.data](recipe.with_changes(length=2048), data, tmp_path / "cache")
    for mixer in (sides.train, sides.validation, *sides.test.values()):
        assert mixer.sources == tuple(recipe.arguments["sources"])
        stems = mixer.example(0, 0, 0)
        assert stems.shape == (len(mixer.sources), 2048)
        assert np.isfinite(stems).all()


def test_vocals_learn_from_training_singers_and_are_judged_by_another(data: Path, tmp_path: Path) -> None:
    sides = vocals(RECIPES["vocals"], data, tmp_path)
    training, validation = sides.train, sides.validation
    assert isinstance(training, VocalMixer)
    assert isinstance(validation, VocalMixer)
    heard = {song.split("_")[0] for song in training.pairs.groups}
    assert heard == {"abjones", "amy", "davidson", "fdps", "Kenshin"}
    assert {song.split("_")[0] for song in validation.pairs.groups} == {"geniusturtle"}
    assert training.speech is not None
    assert sorted(training.speech.groups) == ["librispeech:19", "librispeech:26"]
    assert training.music is not None
    assert not any("fretsonfire" in piece for piece in training.music.groups)


def test_speakers_kept_for_the_test_are_in_no_mixer(data: Path, tmp_path: Path) -> None:
    sides = speakers(RECIPES["speakers"], data, tmp_path)
    training, validation = sides.train, sides.validation
    assert isinstance(training, SpeakerMixer)
    assert isinstance(validation, SpeakerMixer)
    learnt, judged = set(training.speech.groups), set(validation.speech.groups)
    assert learnt >= {"librispeech:19", "librispeech:26", "tsp:FA", "tsp:MC"}
    assert judged == {"librispeech:84", "librispeech:116"}
    assert not (learnt | judged) & {*KEPT_FOR_TEST, "tsp:FB", "tsp:MD"}


@each_recipe
def test_mixing_options_of_the_recipe_reach_the_training_mixer(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    sides = DATA[recipe.data](recipe.with_changes(mixing={"level_db": 1.25}), data, tmp_path)
    assert sides.train.level_db == 1.25  # type: ignore[attr-defined]
    assert sides.validation.level_db != 1.25  # type: ignore[attr-defined]
    assert all(mixer.level_db != 1.25 for mixer in sides.test.values())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "broken", "message"),
    [
        ("vocals", "mir1k", "no clip was found"),
        ("vocals", "librispeech", "no utterance was found"),
        ("vocals", "debian", "hyperrogue-music is missing"),
        ("speakers", "tsp", "no utterance was found"),
        ("speakers", "debian", "asterisk-core-sounds-en-wav is missing"),
    ],
)
def test_a_corpus_that_is_not_there_is_named(name: str, broken: str, message: str, data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    shutil.rmtree(copy / broken)
    with pytest.raises(DataError, match=message) as failure:
        DATA[name](RECIPES[name], copy, tmp_path / "cache")
    assert str(copy / broken) in failure.value.asked
