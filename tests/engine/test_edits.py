"""Edits: what the formulas do at their limits, `Edited` as a separator, and edits as jobs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import MaskedSTFT, Remembering, Splitter, Track
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from separation import hub
from separation.audio import ArrayReader, Writer, open_reader, resample
from separation.engine import RESIDUAL, Options, run, separate
from separation.engine.edits import SHARPEST, Edit, Edited, Rows, edit_sides, gated, sharpened
from separation.engine.jobs import Job, JobStore, Request
from separation.engine.latents import basis, read_grid
from separation.engine.stages import LATENTS
from separation.engine.workers import Workers
from separation.errors import JobError, ModelError
from separation.models import LatentSeparator, Separator, build, build_oracle
from separation.models.protocol import State
from separation.signals import Signal
from tests import contract

RATE = 8000
KEPT = (
    contract.estimates_have_the_shape_of_the_mixture,
    contract.finite_on_silence_and_on_a_click,
    contract.deterministic_in_eval,
    contract.separates_without_disturbing_itself_or_its_input,
    contract.a_batch_of_one_equals_a_batch_of_three,
    contract.works_where_gradients_are_off_and_on_again,
    contract.encodes_each_channel_on_its_own,
    contract.masks_are_real_and_not_negative,
    contract.keeps_the_law_of_latent_separators,
)
"""The promises of the contract that are not about building a model from its arguments."""

MODELS = {
    "conv_tasnet": ("conv_tasnet", "causal"),
    "two_step": ("two_step", "joint"),
    "htmd_net": ("htmd_net", "both"),
    "unet": ("unet", "four"),
}

masks_and_sums = st.lists(st.lists(st.floats(0, 100, width=32), min_size=3, max_size=3), min_size=1, max_size=8).map(
    lambda cells: torch.tensor(cells).T.unsqueeze(0)
)  # [1, S, cells]


def small(name: str) -> Any:
    architecture, case = MODELS[name]
    torch.manual_seed(1)
    return build(architecture, contract.SMALL[architecture][case]).eval()


def noise(seconds: float = 2.0, seed: int = 0, channels: int = 1) -> Signal:
    samples = np.random.default_rng(seed).normal(0, 0.1, (channels, round(seconds * RATE))).astype(np.float32)
    return Signal(samples, RATE)


@settings(deadline=None)  # the machine may be busy
@given(masks_and_sums, st.floats(0, SHARPEST), st.floats(0, 120))
def test_sharpness_and_threshold_keep_what_a_cell_gives(masks: Tensor, sharpness: float, threshold: float) -> None:
    for changed in (sharpened(masks, sharpness), gated(masks, threshold)):
        assert (changed >= 0).all() and torch.isfinite(changed).all()
        torch.testing.assert_close(changed.sum(1), masks.sum(1), rtol=1e-4, atol=1e-30)
        assert (changed[masks == 0] == 0).all() or sharpness < 1e-3


@settings(deadline=None)  # the machine may be busy
@given(masks_and_sums)
def test_limits_of_sharpness(masks: Tensor) -> None:
    total = masks.sum(1, keepdim=True)
    torch.testing.assert_close(sharpened(masks, 0.0), (total / 3).expand_as(masks), rtol=1e-5, atol=1e-30)
    torch.testing.assert_close(sharpened(masks, 1.0), masks, rtol=1e-4, atol=1e-30)
    clear = masks.sort(1).values[:, -2:].diff(dim=1)[:, 0] > 0.3 * masks.amax(1)
    hard = sharpened(masks, SHARPEST)
    torch.testing.assert_close(hard.amax(1)[clear], total[:, 0][clear], rtol=1e-4, atol=1e-30)


@settings(deadline=None)  # the machine may be busy
@given(masks_and_sums)
def test_limits_of_the_threshold(masks: Tensor) -> None:
    all_to_one = gated(masks, 0.0)
    assert (all_to_one[masks < masks.amax(1, keepdim=True)] == 0).all()
    loud = masks.clamp_min(1e-3)  # nothing is 120 dB below the strongest
    torch.testing.assert_close(gated(loud, 120.0), loud, rtol=1e-6, atol=0)


def test_masks_by_hand() -> None:
    masks = torch.tensor([[[0.6], [0.3], [0.1]]])
    torch.testing.assert_close(sharpened(masks, 2.0)[0, :, 0], torch.tensor([0.36, 0.09, 0.01]) / 0.46)
    torch.testing.assert_close(gated(masks, 10.0)[0, :, 0], torch.tensor([2 / 3, 1 / 3, 0]))
    torch.testing.assert_close(gated(masks, 20.0)[0, :, 0], masks[0, :, 0])


rows = st.builds(Rows, st.sampled_from(["a", "b"]), st.lists(st.integers(0, 500), min_size=1, max_size=5).map(tuple))
edits = st.builds(
    Edit,
    threshold_db=st.none() | st.floats(0, 120),
    sharpness=st.floats(0, SHARPEST),
    muted=st.lists(rows, max_size=2, unique_by=lambda entry: entry.source).map(tuple),
    solo=st.none() | rows,
    oracle=st.lists(st.sampled_from(["a", "b"]), unique=True).map(tuple),
    intermediate=st.booleans(),
)


@settings(deadline=None)  # the machine may be busy
@given(edits)
def test_edits_and_requests_are_json(edit: Edit) -> None:
    assert Edit.from_dict(json.loads(json.dumps(edit.to_dict(), allow_nan=False))) == edit
    request = Request("m", "song.wav", edit=edit, edit_of="x" * 22)
    assert Request.from_dict(json.loads(json.dumps(request.to_dict()))) == request
    hash(edit)


def test_requests_of_before_there_were_edits_still_load() -> None:
    old = Request("m", "song.wav").to_dict()
    del old["edit"], old["edit_of"]
    assert Request.from_dict(old) == Request("m", "song.wav")
    assert Edit.from_dict({}) == Edit()


@pytest.mark.parametrize(
    "fields",
    [
        {"sharpness": -1}, {"sharpness": float("inf")}, {"sharpness": "2"}, {"sharpness": True}, {"threshold_db": -3},
        {"threshold_db": float("nan")}, {"volume": 3}, {"oracle": "vocals"}, {"oracle": [1]}, {"muted": [["vocals", [1]]]},
        {"muted": [{"source": "a", "basis": [-1]}]}, {"muted": [{"source": "a", "basis": ["1"]}]}, {"solo": {"source": "a"}},
        {"muted": [{"source": "a", "basis": [1]}, {"source": "a", "basis": [2]}]}, {"solo": {"source": "a", "basis": []}},
        {"solo": 5}, {"muted": 5}, {"muted": [{"source": "a", "basis": 5}]},
    ],
)  # fmt: skip
def test_what_is_no_edit_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(JobError, match="Edit a separation"):
        Edit.from_dict(fields)


def some_edit(model: Any) -> Edit:
    first, last = model.spec.sources[0], model.spec.sources[-1]
    return Edit(20.0, 2.5, muted=(Rows(first, (0, 3)),), solo=None if first == last else Rows(last, (1, 2, 5)))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("make", [lambda m: Edit(), some_edit], ids=["none", "some"])
@pytest.mark.parametrize("check", KEPT, ids=lambda check: check.__name__)
def test_edited_separators_keep_the_contract(check: Any, make: Any, name: str) -> None:
    check(lambda: Edited(small(name), make(small(name))))


@pytest.mark.parametrize(("name", "channels"), [*((name, 1) for name in MODELS), ("fake", 1), ("fake", 2)])
def test_nothing_edited_is_the_same_to_the_bit(name: str, channels: int) -> None:
    model = MaskedSTFT() if name == "fake" else small(name)
    assert isinstance(Edited(model, Edit()), LatentSeparator)
    signal = Signal(noise(2.0, channels=channels).samples, model.spec.sample_rate)
    options = Options(segment=0.5 + 2 * model.spec.context)
    plain, edited = separate(model, signal, options), separate(Edited(model, Edit()), signal, options)
    for source, stem in plain.items():
        np.testing.assert_array_equal(edited[source].samples, stem.samples)


def tracks_of(separator: Separator, signal: Signal, **options: Any) -> dict[str, np.ndarray[Any, Any]]:
    sinks = {name: Track() for name in (*separator.spec.sources, RESIDUAL)}
    run(separator, ArrayReader(signal), sinks, options=Options(**options))
    return {name: track.samples for name, track in sinks.items()}


def test_what_is_muted_is_in_the_residual() -> None:
    model, signal = MaskedSTFT(), noise()
    edit = Edit(muted=(Rows("one", tuple(range(129))),))
    assert not edit.delivered(Options()).consistency and Edit(sharpness=2).delivered(Options()) == Options()
    before, after = (tracks_of(s, signal, consistency=False) for s in (model, Edited(model, edit)))
    assert not after["one"].any()
    np.testing.assert_allclose(after["two"], before["two"], atol=1e-7)
    np.testing.assert_allclose(after[RESIDUAL], before["one"], atol=1e-5)


def test_solo_is_one_row_of_the_masked_latent() -> None:
    model, signal = MaskedSTFT(), noise()
    heard = tracks_of(Edited(model, Edit(solo=Rows("two", (32,)))), signal, consistency=False)
    assert not heard["one"].any()
    power = np.abs(np.fft.rfft(heard["two"][0] * np.hanning(signal.length))) ** 2
    hz = np.fft.rfftfreq(signal.length, 1 / RATE)
    assert power[np.abs(hz - 1000) < 80].sum() > 0.98 * power.sum()
    both = tracks_of(Edited(model, Edit(muted=(Rows("two", (32,)),))), signal, consistency=False)["two"]
    np.testing.assert_allclose(both + heard["two"], tracks_of(model, signal, consistency=False)["two"], atol=1e-6)


def test_the_intermediate_estimate_is_the_probe() -> None:
    model = small("htmd_net")
    mixture = torch.randn(1, 1, 4000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first, final = model.probe(mixture)
        edited, _ = Edited(model, Edit(intermediate=True)).separate(mixture)
    torch.testing.assert_close(edited[:, 0], first)
    assert (first - final).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("separator", "edit", "why"),
    [
        (Splitter(0.5, 0.5), Edit(), "no masks"),
        (Remembering(), Edit(), "no masks"),
        (MaskedSTFT(stateful=True), Edit(), "state"),
        (MaskedSTFT(), Edit(intermediate=True), "no stage after its masks"),
        (MaskedSTFT(), Edit(oracle=("drums",)), "no source called drums"),
        (MaskedSTFT(permutation_invariant=True), Edit(solo=Rows("one", (3,))), "any order"),
        (MaskedSTFT(permutation_invariant=True), Edit(muted=(Rows("one", (3,)),)), "any order"),
        (build("conv_tasnet", {**contract.SMALL["conv_tasnet"]["causal"]}), Edit(oracle=("a",)), "no ideal masks"),
    ],
)
def test_what_cannot_be_edited_says_why(separator: Any, edit: Edit, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        Edited(separator, edit)


def test_basis_functions_that_are_not_there() -> None:
    with pytest.raises(ModelError, match="has 129 of them"):
        tracks_of(Edited(MaskedSTFT(), Edit(muted=(Rows("one", (129,)),))), noise())


def told(
    separator: Edited, mixture: Signal, references: Mapping[str, Signal], tracks: Mapping[str, Signal] = {}
) -> Any:
    readers, known = ({name: ArrayReader(signal) for name, signal in given.items()} for given in (references, tracks))
    return edit_sides(separator, ArrayReader(mixture), references=readers, tracks=known, starts=(0, 0))


@pytest.mark.parametrize("rate", [8000, 22050])
def test_the_oracle_swap_is_the_ideal_ratio_mask(rate: int) -> None:
    """In the STFT and with every source swapped it is `irm1` of that STFT; at another rate, nearly."""
    sources = {name: Signal(noise(2.0, seed).samples, rate) for seed, name in enumerate(("one", "two"))}
    mixture = Signal(sources["one"].samples + sources["two"].samples, rate)
    edited = Edited(MaskedSTFT(segment=8.0, align=64), Edit(oracle=("one", "two")))
    stems = separate(edited, mixture, side=told(edited, mixture, sources))
    if rate == RATE:
        ideal: Any = build_oracle("irm1", sources=["one", "two"], sample_rate=RATE)
        ideal.stft = MaskedSTFT().stft
        side = told(edited, mixture, sources)
        expected = separate(ideal, mixture, side=side)
        np.testing.assert_allclose(stems["one"].samples, expected["one"].samples, atol=1e-4)
    for name, reference in sources.items():
        error = stems[name].samples - reference.samples
        assert (error**2).sum() < 0.5 * (reference.samples**2).sum(), "two noises, half in every bin: 3 dB at least"


def test_one_swapped_source_leaves_the_others_their_shares() -> None:
    model = MaskedSTFT(("one", "two", "three"))
    sources = [noise(1.0, seed).samples for seed in range(3)]
    mixture, references = torch.from_numpy(sum(sources)[None]), torch.from_numpy(np.stack(sources)[None])
    with torch.no_grad():
        z = model.encode(mixture)
        before = model.masks(z)
        after = Edited(model, Edit(oracle=("two",))).masks(z, {"references": references})
        amounts = model.encode(references).abs()
    torch.testing.assert_close(after[:, 1], (amounts / amounts.sum(1, keepdim=True))[:, 1], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(after.sum(1), torch.ones_like(after[:, 0]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(after[:, 0] * before[:, 2], after[:, 2] * before[:, 0], rtol=1e-3, atol=1e-4)


def test_an_oracle_without_references_is_refused() -> None:
    edited = Edited(MaskedSTFT(), Edit(oracle=("two",)))
    with pytest.raises(JobError, match="there is none called two"):
        told(edited, noise(), {"one": noise()})
    with pytest.raises(ModelError, match="needs references"):
        separate(edited, noise())


class Flipping(MaskedSTFT):
    """Low and high, in another order every call; the second output comes upside down, as losses that ignore level allow."""

    def __init__(self, *, flips: bool = True) -> None:
        super().__init__(permutation_invariant=True, segment=2.5)
        self.flips, self.calls = flips, 0

    def masks(self, z: Tensor, side: Any = {}, state: State = None) -> Tensor:
        low = (torch.arange(z.shape[-2]) < 40).float().view(1, -1, 1).expand(len(z), -1, z.shape[-1])
        self.calls += 1
        pair = [1 - low, low] if self.flips and self.calls % 2 else [low, 1 - low]
        return torch.stack(pair, 1).unsqueeze(2)

    def decode(self, latents: Tensor, length: int) -> Tensor:
        return super().decode(latents, length) * torch.tensor([1.0, -1.0]).view(2, 1, 1)

    def refine(self, stems: Tensor, mixture: Tensor) -> Tensor:
        return stems * torch.tensor([1.0, -1.0]).view(2, 1, 1)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("swapped", [False, True])
def test_the_guide_tells_which_output_is_which(swapped: bool, channels: int) -> None:
    """Whatever order the model gives in each chunk, the edit meets the track that the user called so."""
    signal = noise(8.0, channels=channels)
    low, high = separate(Flipping(flips=False), signal).values()
    tracks = {"one": high, "two": low} if swapped else {"one": low, "two": high}
    edited = Edited(Flipping(), Edit(muted=(Rows("two", (10, 100)),)), guided=True)
    assert not edited.spec.permutation_invariant and edited.spec.needs == ("guide",)
    found = separate(edited, signal, Options(consistency=False), side=told(edited, signal, {}, tracks))
    # Chunks lie elsewhere than those of the original, which had to overlap by more to be matched.
    np.testing.assert_allclose(found["one"].samples, tracks["one"].samples, atol=1e-3)
    missing = tracks["two"].samples - found["two"].samples
    power = np.abs(np.fft.rfft(missing[0])) ** 2
    hz = np.fft.rfftfreq(signal.length, 1 / RATE)[power.argmax()]
    assert abs(hz - (10 if swapped else 100) * RATE / 256) < 60
    alone = Edited(Flipping(), Edit(sharpness=1.0), guided=True)
    same = separate(alone, signal, side=told(alone, signal, {}, tracks))
    np.testing.assert_allclose(same["two"].samples, tracks["two"].samples, atol=1e-3)


def write(path: Path, signal: Signal) -> Path:
    with Writer(path, signal.sample_rate, signal.channels, bit_depth="32f") as writer:
        writer.write(signal.samples)
    return path


def read(path: Path) -> np.ndarray[Any, Any]:
    with open_reader(path) as reader:
        return reader.read(0, reader.length)


class Desk:
    """A store and workers that run one job after the other, in this thread."""

    def __init__(self, folder: Path, separator: Any) -> None:
        self.folder = folder
        self.store = JobStore(folder / "jobs")
        self.workers = Workers(self.store, lambda name, **_: separator, devices=("cpu",))

    def separate(self, recording: Path, references: Mapping[str, Path] = {}, **request: Any) -> Job:
        job = self.store.create(recording, Request("model", "song.wav", **request), references=references)
        self.workers.run(job, "cpu")
        return job


def tracks(job: Job) -> dict[str, np.ndarray[Any, Any]]:
    assert job.state().status == "done", job.state().error
    return {name: read(path) for name, path in job.tracks("full").items()}


def test_a_job_keeps_its_latents_and_can_be_edited(tmp_path: Path) -> None:
    desk = Desk(tmp_path, MaskedSTFT())
    song = write(tmp_path / "song.wav", noise(4.0))
    original = desk.separate(song)
    stage = original.stage("full")
    assert stage is not None and stage["latents"] is True
    grid = read_grid(original.folder / "full" / LATENTS)
    assert grid.sources == ("one", "two") and grid.duration == pytest.approx(4.0)
    part = desk.separate(
        song, offset=1.0, duration=2.0, edit=Edit(solo=Rows("one", grid.members(40))), edit_of=original.id
    )
    heard = tracks(part)
    assert not heard["two"].any() and heard["one"].shape == (1, 2 * RATE)
    np.testing.assert_allclose(heard["one"] + heard["residual"], heard["mixture"], atol=1e-6)
    assert part.stage("full")["null_db"] < -120  # type: ignore[index]
    edited = read_grid(part.folder / "full" / LATENTS)
    assert edited.mask("one")[40].any() and not edited.mask("one")[41].any(), "the masks that were used"
    shared = tracks(desk.separate(song, edit=Edit(threshold_db=0.0)))
    np.testing.assert_allclose(shared["one"] + shared["two"], shared["mixture"], atol=1e-6)


def test_a_model_without_masks_keeps_none(tmp_path: Path) -> None:
    job = Desk(tmp_path, Splitter(0.5, 0.5)).separate(write(tmp_path / "song.wav", noise(1.0)))
    assert job.stage("full")["latents"] is False  # type: ignore[index]
    assert not (job.folder / "full" / LATENTS).exists()


def test_an_edit_in_the_middle_means_the_tracks_of_its_original(tmp_path: Path) -> None:
    desk = Desk(tmp_path, Flipping())
    song = write(tmp_path / "song.wav", Signal(resample(noise(4.5, channels=2).samples, RATE, 2 * RATE), 2 * RATE))
    original = desk.separate(song, offset=0.5)
    before = tracks(original)
    for name, other in (("one", "two"), ("two", "one")):
        edit = Edit(muted=(Rows(name, tuple(range(129))),))
        where = {"offset": 2.0, "duration": 2.0, "options": Options(band="model")}
        job = desk.separate(song, edit=edit, edit_of=original.id, **where)
        after = tracks(job)
        part = before[other][:, 3 * RATE : 7 * RATE]
        inner = (part * after[other]).sum() / np.sqrt((part**2).sum() * (after[other] ** 2).sum())
        assert not after[name].any() and inner > 0.95
    outside = desk.separate(song, offset=0.2, duration=2.0, edit=Edit(sharpness=2.0), edit_of=original.id).state()
    assert outside.status == "failed" and "not separated yet" in outside.error["found"]  # type: ignore[index]
    gone = original.id
    original.delete()
    job = desk.separate(song, edit=Edit(sharpness=2.0), edit_of=gone)
    assert job.state().status == "failed" and "expired or was deleted" in job.state().error["found"]  # type: ignore[index]
    job = desk.separate(song, edit=Edit(sharpness=2.0), edit_of="../../../etc")
    assert job.state().status == "failed"


def test_a_job_swaps_in_the_oracle_where_there_are_references(tmp_path: Path) -> None:
    desk = Desk(tmp_path, MaskedSTFT())
    one, two = noise(2.0, 1), noise(2.0, 2)
    song = write(tmp_path / "song.wav", Signal(one.samples + two.samples, RATE))
    references = {"one": write(tmp_path / "1.wav", one), "two": write(tmp_path / "2.wav", two)}
    edit = Edit(oracle=("one", "two"))
    job = desk.separate(song, references, offset=0.5, edit=edit)
    found = tracks(job)
    before = tracks(desk.separate(song, references, offset=0.5))
    truth = one.samples[:, RATE // 2 :]
    assert ((found["one"] - truth) ** 2).sum() < 0.6 * ((before["one"] - truth) ** 2).sum()
    assert any("told the true sources" in message for message in job.state().messages)
    failed = desk.separate(song, edit=edit).state()
    assert failed.status == "failed" and failed.error is not None and "none called one" in failed.error["found"]


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 128), st.floats(0, 40), st.floats(0.2, 8))
def test_any_edit_of_shares_adds_up(index: int, threshold: float, sharpness: float) -> None:
    signal = noise(0.7)
    found = tracks_of(Edited(MaskedSTFT(("a", "b", "c")), Edit(threshold, sharpness)), signal)
    np.testing.assert_allclose(sum(found[name] for name in "abc"), signal.samples, atol=1e-5)
    solo = tracks_of(
        Edited(MaskedSTFT(), Edit(threshold, sharpness, solo=Rows("one", (index,)))), signal, consistency=False
    )
    assert not solo["two"].any() and np.isfinite(solo["one"]).all()


EXAMPLES = Path(__file__).parents[2] / "assets/examples"


@pytest.mark.parametrize(
    ("name", "example", "source"), [("vocals", "voice-over-music", "vocals"), ("speakers", "two-speakers", "speaker 1")]
)
def test_the_bundled_models_on_the_examples(name: str, example: str, source: str) -> None:
    model: Any = hub.load(name)
    with open_reader(EXAMPLES / example / "mixture.flac") as reader:
        mixture = Signal(reader.read(2 * reader.sample_rate, 3 * reader.sample_rate), reader.sample_rate)
    options, pool = Options(device="cpu", consistency=False, band="model"), basis(model)
    known = separate(model, mixture, options)
    other = next(one for one in model.spec.sources if one != source)

    def edited(edit: Edit) -> dict[str, Signal]:
        separator = Edited(model, edit, guided=True)
        return separate(separator, mixture, options, side=told(separator, mixture, {}, known))

    silent = edited(Edit(muted=(Rows(source, tuple(range(len(pool.order)))),)))
    assert not silent[source].samples.any(), "nothing is left, to the bit"
    np.testing.assert_allclose(silent[other].samples, known[other].samples, atol=1e-5)
    strongest = strongest_row(model, mixture, source)
    alone = edited(Edit(solo=Rows(source, (strongest,))))
    assert not alone[other].samples.any()
    heard = alone[source].samples.mean(0)
    assert 20 * np.log10(np.sqrt((heard**2).mean())) > -60, "audible"
    power, hz = np.abs(np.fft.rfft(heard)) ** 2, np.fft.rfftfreq(len(heard), 1 / mixture.sample_rate)
    decoder = pool.decoder[0, strongest].astype(np.float64)
    spectrum, grid_hz = np.abs(np.fft.rfft(decoder, 8192)) ** 2, np.fft.rfftfreq(8192, 1 / model.spec.sample_rate)
    band = grid_hz[spectrum > spectrum.max() / 30]  # where the basis function speaks
    inside = power[(hz >= band.min() - 50) & (hz <= band.max() + 50)].sum() / power.sum()
    assert inside > 0.9
    if pool.bins:
        assert abs((power @ hz) / power.sum() - pool.centroid_hz[strongest]) < 30


def strongest_row(model: Any, mixture: Signal, source: str) -> int:
    """The basis function with most energy in a source's masked latent."""
    heard = resample(mixture.samples, mixture.sample_rate, model.spec.sample_rate).mean(0, keepdims=True)
    x = torch.from_numpy(heard.astype(np.float32))[None]
    with torch.no_grad():
        z = model.encode(x / x.std())
        masked = (model.masks(z) * z.unsqueeze(1)).abs().square().sum((0, 2, 4))
    return int(masked[model.spec.sources.index(source)].argmax())
