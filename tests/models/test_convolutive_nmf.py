"""Convolutive NMF: the updates as they are written, their adjoint shifts, and sounds that only their course tells apart."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from separation.errors import ModelError
from separation.metrics import si_sdr
from separation.models import build
from separation.models.components import joined
from separation.models.convolutive_nmf import ConvolutiveNMF
from separation.models.nmf import FLOOR, NMF, DictionaryModel, Factorisation, Stack, matrix, patches_of

RATE = 8000
SMALL: dict[str, Any] = {"sample_rate": RATE, "n_fft": 256, "hop_length": 64, "components": 2, "steps": 60}
some = settings(max_examples=40, deadline=None, derandomize=True)


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@some
@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 9), st.integers(0, 99))
def test_shifts_to_the_left_are_the_transpose_of_shifts_to_the_right(
    k: int, frames: int, length: int, seed: int
) -> None:
    """Also where a patch is longer than the chunk."""
    activations, rows = rand(2, k, length, seed=seed).double(), rand(2, k * frames, length, seed=seed + 1).double()
    stack = Stack(activations, frames)
    right, left = (stack.fill() * rows).sum(), (activations * stack.fold(rows)).sum()
    torch.testing.assert_close(right, left)


def test_a_patch_sounds_from_where_it_is_activated() -> None:
    patches, rows = rand(2, 5, 3), torch.zeros(2, 8)
    rows[0, 2], rows[1, 6] = 1.0, 2.0
    rendered = matrix(patches) @ Stack(rows, 3).fill()
    expected = torch.zeros(5, 8)
    expected[:, 2:5] += patches[0]
    expected[:, 6:8] += 2 * patches[1][:, :2]  # the rest lies after the end
    torch.testing.assert_close(rendered, expected)


@pytest.mark.parametrize("frames", [1, 3])
def test_what_components_give_alone_adds_up(frames: int) -> None:
    model = ConvolutiveNMF(**{**SMALL, "components": 3, "frames": frames})
    part, rows = model.taught[0], rand(2, 3, 9)
    with torch.no_grad():
        each = part.each(rows)
        assert each.shape == (2, 3, 129, 9)
        torch.testing.assert_close(each.sum(1), part.render(rows))
        only = torch.zeros_like(rows)
        only[:, 1] = rows[:, 1]
        torch.testing.assert_close(each[:, 1], part.render(only))
        groups = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
        torch.testing.assert_close(part.grouped(rows, groups)[:, 1], each[:, 1])


def test_steps_are_those_of_the_formulas() -> None:
    """For KL, shift by shift, as the file's docstring writes them down."""
    frames, x = 3, rand(7, 12).double().numpy() + FLOOR
    w, h = rand(7, 2, frames, seed=1).double().numpy(), rand(2, 12, seed=2).double().numpy()
    work = Factorisation(
        torch.from_numpy(x)[None] - FLOOR, matrix(torch.from_numpy(w).transpose(0, 1))[None], torch.from_numpy(h)[None],
        frames=frames, free=slice(2),
    )  # fmt: skip

    def right(row: Any, shift: int) -> Any:
        return np.pad(row, ((0, 0), (shift, 0)))[:, : row.shape[1]]

    def left(row: Any, shift: int) -> Any:
        return np.pad(row, ((0, 0), (0, shift)))[:, shift:]

    def model() -> Any:
        return sum(w[:, :, shift] @ right(h, shift) for shift in range(frames)) + FLOOR

    for _ in range(4):
        work.step()
        ratio, ones = x / model(), np.ones_like(x)
        up = sum(w[:, :, shift].T @ left(ratio, shift) for shift in range(frames))
        down = sum(w[:, :, shift].T @ left(ones, shift) for shift in range(frames))
        h = h * up / down
        ratio = x / model()
        for shift in range(frames):
            shifted = right(h, shift)
            w[:, :, shift] = w[:, :, shift] * (ratio @ shifted.T) / (ones @ shifted.T)
    found = patches_of(work.dictionary, frames)[0].transpose(0, 1).numpy()
    norms = np.sqrt((w**2).sum((0, 2)))
    np.testing.assert_allclose(found, w / norms[None, :, None], rtol=1e-6)
    np.testing.assert_allclose(work.activations[0], h * norms[:, None], rtol=1e-6)


def test_with_patches_of_one_frame_it_is_nmf() -> None:
    flat = NMF(**SMALL, sources=["a", "b"]).eval()
    same = ConvolutiveNMF(**SMALL, sources=["a", "b"], frames=1).eval()
    same.load_state_dict(flat.state_dict())
    x = torch.randn(1, 1, 3000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(flat.separate(x)[0], same.separate(x)[0])


def sweeps(seconds: float, seed: int, *, rising: bool) -> Tensor:
    """Sweeps of 0.08 s between 500 and 2500 Hz with pauses of a random length: ``[T]``."""
    rng, time = np.random.default_rng(seed), np.arange(int(0.08 * RATE)) / RATE
    sweep = np.sin(2 * np.pi * (500 * time + 12500 * time**2)) * np.hanning(len(time))
    pieces: list[Any] = []
    while sum(map(len, pieces)) < seconds * RATE:
        pieces += [sweep if rising else sweep[::-1], np.zeros(rng.integers(200, 900))]
    return torch.from_numpy(np.concatenate(pieces)[: int(seconds * RATE)].astype(np.float32))


def taught(cls: type[DictionaryModel], **arguments: Any) -> DictionaryModel:
    model = cls(**{"sources": ["rising", "falling"], **SMALL, **arguments})
    for part, rising in zip(model.taught, (True, False), strict=True):
        if any(True for _ in part.parameters()):
            clip = model.gather([sweeps(4.0, 1, rising=rising)])
            list(part.learn(clip, steps=100, generator=torch.Generator().manual_seed(0)))
    return model.eval()


def score(model: DictionaryModel) -> float:
    references = torch.stack([sweeps(2.0, 5, rising=True), sweeps(2.0, 6, rising=False)])
    with torch.no_grad():
        estimates, _ = model.separate(references.sum(0)[None, None])
    return float(si_sdr(references.unsqueeze(1).double(), estimates[0].double()).mean())


def test_it_hears_the_course_of_a_sound_where_nmf_hears_spectra() -> None:
    """Rising and falling sweeps have the same spectrum on the average: their order in time is all that tells them apart."""
    assert score(taught(ConvolutiveNMF, frames=12)) > score(taught(NMF, components=8)) + 5


def test_one_taught_source_is_enough() -> None:
    assert score(taught(ConvolutiveNMF, frames=12, unknown="falling")) > 6


def test_only_patches_of_one_length_are_joined() -> None:
    one, two = (build("convolutive_nmf", {**SMALL, "frames": frames}) for frames in (4, 5))
    assert isinstance(one, ConvolutiveNMF)
    assert isinstance(two, ConvolutiveNMF)
    with pytest.raises(ModelError, match="frames 5 instead of 4"):
        joined([(one, "voice"), (two, "other")])
    assert joined([(one, "voice"), (one, "other")]).arguments["frames"] == 4
