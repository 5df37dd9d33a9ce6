"""What a model did inside, small enough to keep: its basis functions in order, and its masks pooled into a fixed grid.

Five minutes of masks are gigabytes. `LatentPool` watches a run and adds every frame to one of at most `COLUMNS` columns and
every basis function to one of at most `ROWS` rows: sums and weights, so that what is pooled chunk by chunk is what one pass
over the recording would give, but for the chunks' context. The rows go from low to high, by the spectral centroid of the
encoder's basis functions, which `basis` finds out from any latent separator without knowing what it is.

Not a picture (`separation.visualisation` paints), and not the masks: nothing can be separated with what is kept here.
"""

import json
import secrets
import zipfile
from dataclasses import dataclass, fields
from math import log
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from separation.engine.observe import ChunkView
from separation.errors import JobError, ModelError
from separation.models.protocol import LatentSeparator

Floats = NDArray[np.float32]
Weighting = Literal["energy", "plain", "share"]

ROWS = 256
"""Rows of a grid at most; where a model has more basis functions, neighbours share one: learned ones everywhere alike, bins
where they are high (`row_firsts`)."""
COLUMNS = 2000
"""Columns of a grid at most."""
CELLS = 750_000
"""Bytes before compression of the mixture's activations and the masks of all sources: columns are fewer where sources are
many, so that a file stays below 1 MB whatever the masks are like."""
PLAIN = 8
"""Columns of the grid that share one of the unweighted masks."""
LOOKS = 4
"""Frames a column on which entropies and histograms are measured, where a column has more."""
LOOKED = 40_000
"""Mask values a second of audio that they look at, where that leaves a frame in each column."""
BINS = 64
"""Bins of a histogram of masks."""
RANGE_DB = 90.0
"""Activations are kept down to this far below the strongest."""
LOWEST_HZ = 60.0
"""Below this nothing is offered to be heard first."""
WAVEFORMS = 150_000
"""Bytes of basis functions that are kept in a file at most; those of a longer transform come from the model."""

_LOUD = 100.0  # deviation of the noise in which basis functions are looked for: any bias is small beside it
_DRAWS = 16  # of noise; a rectified basis function sleeps through all of them once in 2^16 times
_LONGEST = 1 << 17  # samples a basis function may have
_BLOCK = 64  # basis functions looked at together
_ROUNDING = 1e-4  # by which masks that are shares may exceed one
_ASKED = 33  # bins whose frequency is asked for, where no waveforms are wanted


@dataclass(frozen=True)
class Basis:
    """The basis functions of a latent separator: what it listens for and what it speaks with.

    Args:
        sample_rate: Hz.
        hop_length: samples between two frames.
        first: sample on which frame 0 is centred; may be a half or negative.
        bins: they are the bins of a complex transform, and stand in their own order.
        centroid_hz: ``[N]``; the power-weighted mean frequency of each encoder basis function, for bins the bin's own; 0
            for one that never answers.
        order: ``[N]`` indices of the basis functions from the lowest centroid to the highest.
        encoder: ``[N, L]``; z of the frame is the inner product with this (for bins its real part), before any
            rectification and without the bias.
        decoder: ``[S or 1, N, L]``; what one unit of the latent adds to a source, on the same L samples and before any
            `refine`; one row if all sources share it.
        windows: ``[2, L]``; what every bin's sine is faded in and out with, in the encoder and in the decoder, as it is in
            the middle bin; ``[2, 0]`` where the basis functions are no bins.
    """

    sample_rate: int
    hop_length: int
    first: float
    bins: bool
    centroid_hz: Floats
    order: NDArray[np.int64]
    encoder: Floats
    decoder: Floats
    windows: Floats


def basis(separator: LatentSeparator, *, waveforms: bool = True) -> Basis:
    """Find out the basis functions of a latent separator by asking it.

    An encoder is linear wherever it answers at all, be it rectified, biased or not, so its derivative in noise that makes
    a basis function answer *is* that basis function. A decoder is affine: what a unit of one frame gives, less what zeros
    give. Takes half a second for 512 short basis functions, and seconds for the waveforms of a thousand bins.

    Args:
        separator: its `encode` must be differentiable and treat all frames alike, its `decode` be affine in the latent.
        waveforms: False leaves out those of bins, which are long and known to everybody: `encoder` and `decoder` are then
            empty (``[0, 0]``, ``[0, 0, 0]``) and frequencies are interpolated between some bins.

    Raises:
        ModelError: a basis function seems longer than 130,000 samples: this is no transform of frames.
    """
    probe = _Probe(separator)
    rate = separator.spec.sample_rate
    some = torch.arange(probe.count)
    if probe.bins and not waveforms:
        some = torch.linspace(0, probe.count - 1, min(probe.count, _ASKED)).round().long()
    encoder = probe.encoders(some)
    if probe.bins:
        known = _bin_hz(encoder - 1j * probe.encoders(some, imaginary=True), rate)
        centroid = np.interp(np.arange(probe.count), some.numpy(), known)
    else:
        centroid = _centroid_hz(encoder, rate)
    kept = len(some) == probe.count
    nothing = np.zeros((0, 0), np.float32), np.zeros((0, 0, 0), np.float32)
    encoder, decoder = _cropped(encoder, probe.decoders()) if kept else nothing
    return Basis(
        sample_rate=rate,
        hop_length=probe.hop_length,
        first=probe.centre - probe.frame * probe.hop_length,
        bins=probe.bins,
        centroid_hz=centroid.astype(np.float32),
        order=np.arange(len(centroid)) if probe.bins else np.argsort(centroid, kind="stable"),
        encoder=encoder,
        decoder=decoder,
        windows=probe.windows() if probe.bins else np.zeros((2, 0), np.float32),
    )


def _cropped(encoder: Floats, decoder: Floats) -> tuple[Floats, Floats]:
    """Both without the silence around them all; one decoder where all sources have the same."""
    where = np.flatnonzero((encoder != 0).any(0) | (decoder != 0).any(0).any(0))
    support = slice(int(where[0]), int(where[-1]) + 1) if len(where) else slice(0, 1)
    shared = all(np.array_equal(one, decoder[0]) for one in decoder)
    kept = decoder[: 1 if shared else None, :, support]
    return np.ascontiguousarray(encoder[:, support]), np.ascontiguousarray(kept)


class _Probe:
    """Asks a separator about one frame in the middle of a stretch long enough to hold it."""

    def __init__(self, separator: LatentSeparator) -> None:
        self._separator, self._device = separator, _device_of(separator)
        length = 256
        while not self._fits(length):
            length *= 2
            if length > _LONGEST:
                raise ModelError(
                    "Look at the basis functions of a model",
                    f"they seem longer than {_LONGEST} samples",
                    "Views of latents need an encoder that works frame by frame",
                )

    def _fits(self, length: int) -> bool:
        """Look through noise of this length; whether it holds the middle frame, the next one, and silence around both."""
        shape = (_DRAWS, 1, length)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * _LOUD
        self._noise = noise.to(self._device)
        with torch.no_grad():
            z = self._separator.encode(self._noise)[:, 0]
        self.count, frames = z.shape[-2:]
        self.length, self.frame, self.bins = length, frames // 2, z.is_complex()
        self._answers = z.real if self.bins else z
        if frames < 5:
            return False
        some = torch.arange(0, self.count, max(1, self.count // 8))
        here, there = self._span(some, self.frame), self._span(some, self.frame + 1)
        if here is None or there is None or here[0] == 0 or there[1] == length - 1:
            return False
        self.hop_length = there[0] - here[0]
        self.centre = (here[0] + here[1]) / 2
        return self.hop_length > 0

    def _span(self, some: Tensor, frame: int) -> tuple[int, int] | None:
        where = np.flatnonzero((self._derivatives(some, frame) != 0).any(0))
        return (int(where[0]), int(where[-1])) if len(where) else None

    def encoders(self, some: Tensor, *, imaginary: bool = False) -> Floats:
        """The basis functions ``[n, T]``: of bins the real or the imaginary part."""
        blocks = (some[at : at + _BLOCK] for at in range(0, len(some), _BLOCK))
        return np.concatenate([self._derivatives(block, self.frame, imaginary=imaginary) for block in blocks])

    def _derivatives(self, some: Tensor, frame: int, *, imaginary: bool = False) -> Floats:
        """How one frame of each of these basis functions depends on the signal, ``[n, T]``."""
        loudest = self._answers[:, some.to(self._device), frame].argmax(0)
        with torch.enable_grad():
            x = self._noise[loudest].requires_grad_()
            z = self._separator.encode(x)[:, 0]
            part = (z.imag if imaginary else z.real) if self.bins else z
            (slope,) = torch.autograd.grad(part[torch.arange(len(some)), some, frame].sum(), x)
        return np.asarray(slope[:, 0].cpu().numpy(), np.float32)

    def decoders(self) -> Floats:
        """What a unit of each basis function in the middle frame becomes, ``[S, N, T]``."""
        every = torch.arange(self.count)
        blocks = (every[at : at + _BLOCK] for at in range(0, self.count, _BLOCK))
        return np.concatenate([self._units(block) for block in blocks], axis=1)

    def windows(self) -> Floats:
        """The envelopes of the middle bin's basis functions, ``[2, L]``: of the encoder, and of the first source's decoder."""
        middle = torch.tensor([self.count // 2])
        encoder = self.encoders(middle) - 1j * self.encoders(middle, imaginary=True)
        decoder = self._units(middle)[0] + 1j * self._units(middle, 1j)[0]
        both = np.abs(np.concatenate([encoder, decoder]))
        where = np.flatnonzero(both.any(0))
        return np.ascontiguousarray(both[:, where[0] : where[-1] + 1], np.float32)

    @torch.no_grad()
    def _units(self, some: Tensor, unit: complex = 1) -> Floats:
        sources = len(self._separator.spec.sources)
        like = self._separator.encode(self._noise[:1]).unsqueeze(1)  # its type and number of frames
        z = torch.zeros((len(some) + 1, sources, *like.shape[2:]), dtype=like.dtype, device=self._device)
        z[torch.arange(len(some)), :, 0, some, self.frame] = torch.as_tensor(unit).to(z)
        stems = self._separator.decode(z, self.length)[:, :, 0]
        units = (stems[:-1] - stems[-1:]).transpose(0, 1).cpu().numpy()
        return np.asarray(units, np.float32)


def _device_of(separator: LatentSeparator) -> torch.device:
    if isinstance(separator, torch.nn.Module):
        for tensor in (*separator.parameters(), *separator.buffers()):
            return tensor.device
    return torch.device("cpu")


def _centroid_hz(waveforms: Floats, sample_rate: int) -> NDArray[np.float64]:
    """Power-weighted mean frequency of each row; 0 for a row of zeros."""
    n_fft = max(1024, 1 << (waveforms.shape[-1] - 1).bit_length())
    power = np.abs(np.fft.rfft(waveforms.astype(np.float64), n_fft)) ** 2
    whole = power.sum(-1)
    mean: NDArray[np.float64] = power @ np.fft.rfftfreq(n_fft, 1 / sample_rate) / np.where(whole > 0, whole, 1)
    return mean


def _bin_hz(waveforms: NDArray[Any], sample_rate: int) -> NDArray[np.float64]:
    """Frequency of windowed complex exponentials: the mean on the circle, which is right at 0 Hz and half the rate too."""
    spectra = np.abs(np.fft.fft(waveforms)) ** 2
    turns = np.exp(2j * np.pi * np.arange(spectra.shape[-1]) / spectra.shape[-1])
    hz: NDArray[np.float64] = np.abs(np.angle(spectra @ turns)) / (2 * np.pi) * sample_rate
    return hz


@dataclass(frozen=True)
class LatentGrid:
    """Pooled masks and activations of a stage. Columns divide the stage evenly, rows go from low to high frequencies.

    Args:
        sources: names, in the order of the tracks.
        sample_rate: Hz of the model.
        length: of the stage, in samples at that rate.
        bins: rows are the bins of a complex transform, not learned basis functions.
        centroid_hz: ``[N]`` of each basis function.
        order: ``[N]`` basis functions from low to high.
        masks: uint8 ``[S, R, K]``: the mean mask of each cell, weighted with the energy of what it was applied to;
            `mask_top` is 255. Where there was no energy, the plain mean.
        plain: uint8 ``[S, R, ceil(K / 8)]``: the mean mask, every frame and basis function alike, in wider columns.
        mask_top: 1 for masks up to one, else the greatest cell's.
        activations: uint8 ``[R, K]``: mean energy of the mixture's latent, 255 for `activation_top_db`, 0 for `RANGE_DB`
            less.
        activation_top_db: of the strongest cell, in dB of the model's own units.
        entropy: float32 ``[K]``: how undecided the masks are, 0 to 1, weighted with energy (`metrics.mask_entropy`); NaN
            where there is nothing to decide.
        histogram: float32 ``[S, BINS]``: part of the mixture's energy under each mask value, from 0 to `histogram_top`;
            a source's sum to one (all zero in silence).
        histogram_top: upper edge of the last bin.
        encoder: ``[N, L]`` as in `Basis`, or None where they are too long to keep (`WAVEFORMS`).
        decoder: ``[S or 1, N, L]`` likewise.
        windows: ``[2, L]`` as in `Basis`, or None where the basis functions are no bins, or the windows too long to keep.
        firsts: ``[R]``; place in `order` of each row's first basis function. None: rows that are alike.
    """

    sources: tuple[str, ...]
    sample_rate: int
    length: int
    bins: bool
    centroid_hz: Floats
    order: NDArray[np.int64]
    masks: NDArray[np.uint8]
    plain: NDArray[np.uint8]
    mask_top: float
    activations: NDArray[np.uint8]
    activation_top_db: float
    entropy: Floats
    histogram: Floats
    histogram_top: float
    encoder: Floats | None = None
    decoder: Floats | None = None
    windows: Floats | None = None
    firsts: NDArray[np.int64] | None = None

    @property
    def duration(self) -> float:
        """Seconds that the columns divide."""
        return self.length / self.sample_rate

    @property
    def rows(self) -> int:
        return int(self.activations.shape[0])

    @property
    def columns(self) -> int:
        return int(self.activations.shape[1])

    def members(self, row: int) -> tuple[int, ...]:
        """The basis functions of a row, as `Edit` names them."""
        first, last = self.edges[row : row + 2]
        return tuple(int(index) for index in self.order[first:last])

    @property
    def edges(self) -> NDArray[np.int64]:
        """Places in `order` between the rows, ``[R + 1]``: row r has those from ``edges[r]`` to before ``edges[r + 1]``."""
        count = len(self.order)
        firsts = row_firsts(count, self.rows) if self.firsts is None else self.firsts
        return np.append(firsts, count)

    def loudest(self, source: str) -> int:
        """The row in which a source gets most energy: what to hear first, as many rows of many masks are empty.

        Rows below `LOWEST_HZ` count only where there are no others: rumble is strong, and hardly heard.

        Raises:
            ModelError: no such source.
        """
        energy = (10 ** (self.activations_db() / 10) * self.mask(source) ** 2).sum(1) * np.diff(self.edges)
        return int((energy * np.where(self.row_hz() < LOWEST_HZ, 1e-12, 1)).argmax())

    def row_hz(self) -> Floats:
        """Mean centroid of each row's basis functions, float32 ``[R]``, rising."""
        return np.array([self.centroid_hz[list(self.members(row))].mean() for row in range(self.rows)], np.float32)

    def mask(self, source: str, weighting: Weighting = "energy") -> Floats:
        """The masks of a source as numbers, float32 ``[R, K]`` (K fewer for ``"plain"``).

        ``"share"`` is each cell's part of the sum over sources (equal parts of nothing): for masks that are not bounded.

        Raises:
            ModelError: no such source.
        """
        if source not in self.sources:
            raise ModelError(
                f"Show the mask of {source}", "there is no such source", f"Choose from {', '.join(self.sources)}"
            )
        index = self.sources.index(source)
        if weighting == "share":
            total = self.masks.sum(0, dtype=np.float32)
            part: Floats = np.where(total > 0, self.masks[index] / np.maximum(total, 1), 1 / len(self.sources))
            return part.astype(np.float32)
        values: Floats = (self.masks if weighting == "energy" else self.plain)[index] * np.float32(self.mask_top / 255)
        return values

    def activations_db(self) -> Floats:
        """The mixture's activations, float32 ``[R, K]``, 0 dB for the strongest cell."""
        return self.activations * np.float32(RANGE_DB / 255) - np.float32(RANGE_DB)


class LatentPool:
    """Pools what it sees of one run: an observer for `engine.run`.

    Args:
        separator: the one that runs.
        length: of the recording, in samples at the *model's* rate.
        found: its basis functions, if they are known already.
        columns: at most; fewer where a column would have less than a frame, or the file would be too large (`CELLS`).
    """

    def __init__(
        self, separator: LatentSeparator, length: int, *, found: Basis | None = None, columns: int = COLUMNS
    ) -> None:
        self._basis, self._sources, self._length = (
            found or basis(separator, waveforms=False),
            separator.spec.sources,
            length,
        )
        count, sources = len(self._basis.order), len(self._sources)
        self._rows = min(ROWS, count)
        columns = min(columns, CELLS // (self._rows * (sources + 1)))
        self._columns = max(1, min(columns, length // self._basis.hop_length))
        a_column = length / self._basis.hop_length / self._columns
        a_second = sources * count * self._basis.sample_rate / self._basis.hop_length
        self._every = max(1, int(min(a_column, max(a_column / LOOKS, a_second / LOOKED))))
        highest = self._basis.centroid_hz[-1] if self._basis.bins else None
        self._row_firsts = row_firsts(count, self._rows, highest)
        self._per_row = np.diff(self._row_firsts, append=count)
        cells = (self._rows, self._columns)
        self._weighted, self._plain = np.zeros((2, sources, *cells))
        self._energy = np.zeros(cells)
        self._frames = np.zeros(self._columns)
        self._spread, self._taken = np.zeros((2, self._columns))
        self._histogram, self._top = np.zeros((sources, BINS)), 1.0
        self._reached = 0  # sample up to which all frames have been seen
        self._seen = False

    def chunk(self, view: ChunkView) -> None:
        """Add the frames of a chunk that no chunk before it has shown."""
        if view.latent is None or view.masks is None:
            return
        self._seen = True
        frames, columns = self._frames_of(view)
        self._reached = view.start + view.kept.stop
        if not len(columns):
            return
        latent = view.latent[..., frames]
        energy = latent.real.square() + latent.imag.square() if latent.is_complex() else latent.square()
        masks = view.masks[..., frames].float()
        number = (
            round((view.start + self._basis.first) / self._basis.hop_length) + frames.start
        )  # counted from the start
        if masks.shape[1] == 1:
            energy = energy.mean(0, keepdim=True)
        for channel in range(masks.shape[1]):
            self._add(masks[:, channel], energy[channel].float(), columns, number)

    def _frames_of(self, view: ChunkView) -> tuple[slice, NDArray[np.intp]]:
        """The chunk's fresh frames, and the column of each."""
        assert view.latent is not None
        centres = view.start + self._basis.first + self._basis.hop_length * np.arange(view.latent.shape[-1])
        low, high = max(0, self._reached), min(self._length, view.start + view.kept.stop)
        first, last = (int(np.searchsorted(centres, at)) for at in (low, high))
        return slice(first, last), (centres[first:last] * self._columns / self._length).astype(np.intp)

    def _add(self, masks: Tensor, energy: Tensor, columns: NDArray[np.intp], first: int) -> None:
        """Masks ``[S, N, K]`` of one channel, the energies ``[N, K]`` they are applied to, and each frame's column."""
        starts = np.flatnonzero(np.diff(columns, prepend=-1))
        there = columns[starts]
        self._frames[there] += np.diff(starts, append=len(columns))
        self._energy[:, there] += self._pooled(energy, starts)
        self._plain[..., there] += self._pooled(masks, starts)
        self._weighted[..., there] += self._pooled(masks * energy, starts)
        some = slice(-first % self._every, None, self._every)
        if len(columns[some]):
            self._look(masks[..., some], energy[..., some], columns[some])

    def _look(self, masks: Tensor, energy: Tensor, columns: NDArray[np.intp]) -> None:
        """Add to the entropies and the histograms, which cost more than the masks: only some frames come here."""
        whole = masks.sum(0)
        shares = masks / whole.clamp_min(torch.finfo(whole.dtype).tiny)
        taken = energy * (whole > 0)
        spread = torch.special.entr(shares).sum(0) * taken
        self._spread += np.bincount(columns, spread.sum(0).numpy(), self._columns)
        self._taken += np.bincount(columns, taken.sum(0).numpy(), self._columns)
        self._count(masks, energy)

    def _pooled(self, values: Tensor, starts: NDArray[np.intp]) -> NDArray[Any]:
        """Sums ``[*, N, K]`` -> ``[*, R, columns]``."""
        by_column = np.add.reduceat(values.numpy(), starts, axis=-1)
        return np.add.reduceat(by_column[..., self._basis.order, :], self._row_firsts, axis=-2)

    def _count(self, masks: Tensor, energy: Tensor) -> None:
        """Add to the histograms; where a mask is beyond the last bin, two bins become one until it is not."""
        while float(masks.amax()) > self._top * (1 + _ROUNDING):
            pairs = self._histogram.reshape(-1, BINS // 2, 2).sum(-1)
            self._histogram = np.concatenate([pairs, np.zeros_like(pairs)], axis=-1)
            self._top *= 2
        weights = energy.flatten().numpy()
        for source, mask in enumerate(masks):
            bins = (mask.flatten() * (BINS / self._top)).to(torch.int32).clamp_max_(BINS - 1).numpy()
            self._histogram[source] += np.bincount(bins, weights, BINS)

    def grid(self) -> LatentGrid | None:
        """All that was seen; None if it was nothing, because this run had no masks to see."""
        if not self._seen:
            return None
        found, energy, frames = self._basis, self._energy, np.maximum(self._frames, 1)
        plain = self._plain / (frames * self._per_row[:, None])
        masks = np.where(energy > 0, self._weighted / np.where(energy > 0, energy, 1), plain)
        plain = _wider(self._plain, PLAIN) / np.maximum(_wider(self._frames, PLAIN) * self._per_row[:, None], 1)
        top = max(float(masks.max()), float(plain.max()))
        top = top if top > 1 + _ROUNDING else 1.0
        level = 10 * np.log10(np.maximum(energy / (frames * self._per_row[:, None]), 1e-30))
        deciding = (self._taken > 0) & (len(self._sources) > 1)
        entropy = self._spread / np.where(deciding, self._taken, 1) / (log(len(self._sources)) or 1)
        share = self._histogram.sum(-1, keepdims=True)
        keep = not found.bins and 2 * (found.encoder.size + found.decoder.size) <= WAVEFORMS  # float16
        return LatentGrid(
            sources=tuple(self._sources),
            sample_rate=found.sample_rate,
            length=self._length,
            bins=found.bins,
            centroid_hz=found.centroid_hz,
            order=found.order,
            masks=_bytes(masks / top),
            plain=_bytes(plain / top),
            mask_top=top,
            activations=_bytes(1 + (level - level.max()) / RANGE_DB),
            activation_top_db=float(level.max()),
            entropy=np.where(deciding, entropy, np.nan).astype(np.float32),
            histogram=(self._histogram / np.where(share > 0, share, 1)).astype(np.float32),
            histogram_top=self._top,
            encoder=found.encoder if keep else None,
            decoder=found.decoder if keep else None,
            firsts=self._row_firsts,
            windows=found.windows if found.bins and 2 * found.windows.size <= WAVEFORMS else None,
        )


def row_firsts(count: int, rows: int, highest_hz: float | None = None) -> NDArray[np.int64]:
    """Where each of `rows` rows begins among `count` basis functions, ``[rows]``.

    Even rows, or for the bins from 0 Hz to `highest_hz` rows as even on the mel scale (O'Shaughnessy, 1987) as can be with
    a bin in each: the harmonics of a voice lie below 2 kHz, in the lowest quarter of a linear axis up to 8 kHz.

    >>> row_firsts(9, 4, 8000.0)
    array([0, 1, 2, 4])
    """
    firsts = -(-np.arange(rows) * count // rows)
    if highest_hz:
        mel = np.log1p(highest_hz / 700) * np.arange(rows) / rows
        firsts = np.round(np.expm1(mel) * 700 / highest_hz * (count - 1)).astype(np.int64)
        for row in range(1, rows):
            firsts[row] = min(max(firsts[row], firsts[row - 1] + 1), count - rows + row)
    return firsts.astype(np.int64)


def _wider(sums: NDArray[np.float64], columns: int) -> NDArray[np.float64]:
    """Sums of so many columns at a time; the last may be of fewer."""
    return np.asarray(np.add.reduceat(sums, np.arange(0, sums.shape[-1], columns), axis=-1))


def _bytes(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)


def save_grid(path: Path, grid: LatentGrid) -> None:
    """Keep a grid as a compressed npz file without pickle, under another name first, then renamed."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    arrays = {name: getattr(grid, name) for name in _ARRAYS if getattr(grid, name) is not None}
    halves = {name: arrays[name].astype(np.float16) for name in _HALVES if name in arrays}
    rest = {name: getattr(grid, name) for name in _REST}
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(file, about=np.array(json.dumps(rest)), **(arrays | halves))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_grid(path: Path) -> LatentGrid:
    """Read what `save_grid` kept.

    Raises:
        JobError: there is no such file, or it holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            rest = json.loads(str(file["about"]))
            arrays = {name: file[name] for name in _ARRAYS if name in file}
        waveforms = {name: arrays[name].astype(np.float32) for name in _HALVES if name in arrays}
        return LatentGrid(**(arrays | waveforms), **{**rest, "sources": tuple(rest["sources"])})
    except FileNotFoundError:
        found = "they were not kept: this model has no masks, or the separation is from before they were"
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        found = f"the file is damaged ({type(error).__name__})"
    raise JobError("Show the masks of a separation", found, "Separate the recording again")


_REST = ("sources", "sample_rate", "length", "bins", "mask_top", "activation_top_db", "histogram_top")
_HALVES = ("encoder", "decoder", "windows")
_ARRAYS = tuple(field.name for field in fields(LatentGrid) if field.name not in _REST)
