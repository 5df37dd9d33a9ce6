"""The models of a study hear the recording around an excerpt, by the right name; and the shipped study is offered once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from fakes import Fake
from torch import Tensor

from separation import hub
from separation.errors import ModelError
from separation.listening.checks import check
from separation.listening.prepared import find_studies, read_prepared
from separation.listening.studies import Studies
from separation.listening.study import read_study
from separation.ratings import Store
from separation.ratings.sessions import Sessions
from separation.signals import Samples
from separation.ui import study_models
from separation.ui.shipped_studies import SHIPPED, offer_shipped, shipped_hashes
from separation.ui.study_models import StudyModels, targets_of

RATE = 8000
TOTAL_BYTES = 3_000_000


class Halves(Fake):
    """Low and high: the first difference, and the rest; sums to the mixture."""

    def split(self, mixture: Tensor) -> Tensor:
        high = torch.diff(mixture, dim=-1, prepend=mixture[..., :1]) / 2
        return torch.stack([mixture - high, high], 1)


@pytest.fixture
def mixture(tmp_path: Path) -> tuple[Path, Samples]:
    samples = (0.1 * np.random.default_rng(0).standard_normal((1, 40 * RATE))).astype(np.float32)
    sf.write(tmp_path / "mixture.wav", samples.T, RATE, subtype="FLOAT")
    return tmp_path / "mixture.wav", samples


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Callable[[Fake], Fake]:
    def use(model: Fake) -> Fake:
        monkeypatch.setattr(study_models.hub, "load", lambda name: model)
        return model

    return use


def test_an_excerpt_is_what_the_whole_recording_gives(
    mixture: tuple[Path, Samples], loaded: Callable[[Fake], Fake]
) -> None:
    path, samples = mixture
    model = loaded(Halves(("low", "high")))
    high = np.diff(samples, prepend=samples[:, :1]) / 2
    runs = StudyModels(device="cpu")
    for source, whole in (("low", samples - high), ("high", high), ("", samples - high)):
        given = runs("any", path, source, 20.5, 3.0)
        assert given.sample_rate == RATE and given.length == 3 * RATE
        np.testing.assert_allclose(given.samples, whole[:, 20 * RATE + RATE // 2 :][:, : 3 * RATE], atol=1e-5)
    # Not the 40 seconds, but what lies around.
    assert model.calls * model.shapes[0][-1] < 3 * 1.5 * (3 + 2 * study_models.CONTEXT) * RATE


def test_the_ends_of_a_recording_may_be_asked_for(
    mixture: tuple[Path, Samples], loaded: Callable[[Fake], Fake]
) -> None:
    path, samples = mixture
    loaded(Halves(("low", "high")))
    given = StudyModels(device="cpu")("any", path, "low", 0.0, 40.0)
    assert given.length == samples.shape[1]


def test_a_source_that_the_model_has_not_is_refused(
    mixture: tuple[Path, Samples], loaded: Callable[[Fake], Fake]
) -> None:
    loaded(Halves(("low", "high")))
    with pytest.raises(ModelError, match=r"from any for song: it gives low, high.* or take this system out"):
        StudyModels(device="cpu", names={(mixture[0], "vocals"): "song"})("any", mixture[0], "vocals", 0.0, 1.0)


@pytest.mark.parametrize("wanted", [0, 1])
def test_of_sources_without_an_order_the_one_is_taken_that_holds_the_target(
    mixture: tuple[Path, Samples], loaded: Callable[[Fake], Fake], wanted: int
) -> None:
    path, samples = mixture
    loaded(Halves(("speaker 1", "speaker 2"), permutation_invariant=True))
    high = np.diff(samples, prepend=samples[:, :1]) / 2
    sf.write(path.with_name("target.wav"), (high if wanted else samples - high).T, RATE, subtype="FLOAT")
    targets = {(path, "speaker 1"): path.with_name("target.wav")}
    given = StudyModels(device="cpu", targets=targets)("any", path, "speaker 1", 5.0, 2.0)
    true = (high if wanted else samples - high)[:, 5 * RATE : 7 * RATE]
    assert np.corrcoef(given.samples.ravel(), true.ravel())[0, 1] > 0.99


def test_a_model_is_pinned_by_its_weights() -> None:
    pinned = StudyModels().version("vocals")
    card = hub.describe("vocals")
    assert card.weights is not None and pinned == f"sha256:{card.weights.sha256}"


# The study that comes with the app


def _shipped_study(tmp_path: Path) -> Path:
    """A study of files, so that no model has to run."""
    folder = tmp_path / "shipped" / "small"
    for number, name in enumerate(("target", "a", "b")):
        samples = 0.1 * np.random.default_rng(number).standard_normal(RATE)
        folder.mkdir(parents=True, exist_ok=True)
        sf.write(folder / f"{name}.wav", samples, RATE)
    (folder / "study.yaml").write_text(
        "format: earshot-study/1\nname: small\ntitle: Small\nsystems:\n- {id: a, files: a.wav}\n- {id: b, files: b.wav}\n"
        "items:\n- {id: one, target: target.wav}\nquestions:\n- {id: which, kind: ab}\nassignment: {listeners: 2}\n"
    )
    return folder.parent


def test_a_shipped_study_is_built_and_opened_once(tmp_path: Path) -> None:
    shipped, home = _shipped_study(tmp_path), tmp_path / "data" / "studies"
    studies = Studies((home,), Sessions(Store("sqlite://"), clock=lambda: 0.0), clock=lambda: 0.0)
    assert offer_shipped(studies, home, shipped=shipped) == ["small"]
    assert studies.status("small").state == "open"
    assert len(studies.open("small").prepared.stimuli) == 3  # both, and the open reference
    assert [path.name for path in home.iterdir()] == ["small"]
    # Other people's studies make the pages' descriptions private, this one does not.
    assert studies.sessions.studying() and not studies.sessions.studying(besides=shipped_hashes(shipped))
    studies.close("small")
    assert offer_shipped(studies, home, shipped=shipped) == [] and studies.status("small").state == "closed"


def test_a_shipped_study_that_cannot_be_built_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shipped, home = _shipped_study(tmp_path), tmp_path / "data" / "studies"
    (shipped / "small" / "b.wav").unlink()
    studies = Studies((home,), Sessions(Store("sqlite://"), clock=lambda: 0.0), clock=lambda: 0.0)
    assert offer_shipped(studies, home, shipped=shipped) == []
    assert not (home / "small").exists() and "could not be offered" in caplog.text


def test_a_study_of_that_name_is_left_alone(tmp_path: Path) -> None:
    shipped, home = _shipped_study(tmp_path), tmp_path / "data" / "studies"
    (home / "small").mkdir(parents=True)
    studies = Studies((home,), Sessions(Store("sqlite://"), clock=lambda: 0.0), clock=lambda: 0.0)
    assert offer_shipped(studies, home, shipped=shipped) == [] and list((home / "small").iterdir()) == []


def test_the_bundled_study_is_small_sound_and_good(tmp_path: Path) -> None:
    """Built with the bundled model; the check finds no error in it."""
    torch.set_num_threads(1)
    (folder,) = find_studies([SHIPPED]).values()
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < TOTAL_BYTES
    home = tmp_path / "studies"
    studies = Studies((home,), Sessions(Store("sqlite://"), clock=lambda: 0.0), clock=lambda: 0.0)
    assert offer_shipped(studies, home) == [folder.name]
    study, prepared = read_study(folder / "study.yaml"), read_prepared(home / folder.name)
    assert len(prepared.items) >= 5 and all(5 <= item.duration <= 8 for item in prepared.items.values())
    assert {"mushra", "ab"} <= {question.kind for question in study.questions}
    assert [finding for finding in check(study, prepared) if finding.level == "error"] == []
    assert all(stimulus.lag == 0 and stimulus.flags == () for stimulus in prepared.stimuli)
    assert targets_of(study, folder).keys() == {(folder / item.mixture, "vocals") for item in study.items}
