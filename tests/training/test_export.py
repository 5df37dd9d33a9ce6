"""A run -> a model folder that the hub loads, with an honest card."""

import json
from typing import get_args

import pytest
import torch
from safetensors.torch import save_file

from separation.errors import DataError
from separation.hub import Card, load, read_curves
from separation.models import build
from separation.training.export import CARDS, export
from separation.training.recipes import RECIPES

TINY = dict(sources=["vocals", "accompaniment"], sample_rate=8000, n_fft=64, hop_length=16, channels=[2, 2], hidden=4)


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    recipe = RECIPES["vocals"].with_changes(arguments=TINY, batch=3, length=8000)
    (folder / "recipe.json").write_text(json.dumps({"recipe": recipe.to_dict(), "commit": "abc1234"}))
    (folder / "log.jsonl").write_text('{"step": 50, "seconds": 1.0}\n{"step": 100, "seconds": 2.0}\n')
    torch.manual_seed(0)
    save_file(build("unet", TINY).state_dict(), folder / "best.safetensors")
    return folder


def test_the_folder_loads_and_says_where_it_comes_from(run, tmp_path):
    card = export(run, tmp_path / "vocals")
    assert card.training is not None
    assert card.training.commit == "abc1234"
    assert card.training.seconds_of_audio == 100 * 3 * 8000 / 8000
    assert card.scores == ()  # measured by another command
    loaded = load(tmp_path / "vocals")
    x = torch.randn(1, 1, 4000)
    with torch.no_grad():
        assert loaded.separate(x)[0].shape == (1, 2, 1, 4000)
    assert (tmp_path / "vocals" / "model.safetensors").stat().st_mode & 0o044  # others may read it


def test_every_recipe_has_a_card_text():
    assert set(CARDS) == set(RECIPES)
    assert {words["task"] for words in CARDS.values()} <= set(get_args(Card.model_fields["task"].annotation))


@pytest.mark.parametrize("missing", ["recipe.json", "best.safetensors"])
def test_a_folder_that_is_no_run_is_refused(run, tmp_path, missing):
    (run / missing).unlink()
    with pytest.raises(DataError, match=missing):
        export(run, tmp_path / "out")


def test_the_levels_that_were_fitted_go_into_the_model(tmp_path):
    small = dict(basis=8, kernel=4, bottleneck=4, hidden=4, skip=0, blocks=2, repeats=1)
    folder = tmp_path / "run"
    folder.mkdir()
    recipe = RECIPES["speakers"].with_changes(arguments={**small, "sample_rate": 8000})
    (folder / "recipe.json").write_text(json.dumps({"recipe": recipe.to_dict(), "commit": None}))
    (folder / "gains.json").write_text('{"step": 1, "gains": [0.5, -2.0]}')
    (folder / "log.jsonl").write_text('{"step": 1, "seconds": 1.0}\n')
    save_file(build("conv_tasnet", small).state_dict(), folder / "best.safetensors")
    card = export(folder, tmp_path / "speakers")
    assert card.arguments["gains"] == [0.5, -2.0]
    assert load(tmp_path / "speakers").arguments["gains"] == [0.5, -2.0]


def test_the_log_becomes_the_learning_curves(run, tmp_path):
    lines = [
        {"step": 50, "seconds": 1.0, "event": "train", "loss": 3.25},
        {"step": 100, "seconds": 2.0, "event": "train", "loss": None},
        {
            "step": 100,
            "seconds": 2.0,
            "event": "validate",
            "si_sdr_gain_db": 4.123456,
            "standard_error": 0.5,
            "best": 4.1,
        },
        {"step": 150, "seconds": 3.0, "event": "train", "loss": 2.0},
        {"step": 150, "seconds": 3.0, "event": "validate", "si_sdr_gain_db": 4.0, "best": 4.1},
        {"step": 160, "seconds": 3.0, "event": "validate", "si_sdr_gain_db": None, "best": 4.1},
    ]
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    curves = read_curves(export(run, tmp_path / "vocals"))
    assert curves is not None
    assert (curves.loss.steps, curves.loss.values) == ((50, 100, 150), (3.25, None, 2.0))
    assert (curves.validation.steps, curves.validation.values) == ((100, 150), (4.1235, 4.0))
    assert curves.validation.errors == (0.5, None)
    assert curves.step == 100, "the weights are the best ones, not the last"


def test_a_run_without_a_validation_has_no_curves(run, tmp_path):
    assert read_curves(export(run, tmp_path / "vocals")) is None
