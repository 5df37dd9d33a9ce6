"""Changing a separation from the inside: `Edit` says what, `Edited` is the separator that does it.

Masks m_s ≥ 0 of the sources become others before they are applied to the mixture's latent, cell by cell (a basis function in a
frame), in this order. T = Σ m_s is what the model gives out of a cell, 1 for most models:

    oracle      the chosen sources get the shares |E_s| / Σ |E_i| of the cell that the true sources have, E = encode(reference);
                the others share the rest as they shared theirs before
    sharpness   g: shares m_s^g / Σ m_i^g of T. 0: equal shares; 1: as they are; large: all to the strongest
    threshold   t dB: where m_s < 10^(-t / 20) max m_i, the source loses the cell to those that are left. 0: all to the
                strongest (equally strong ones share). Both keep T: nothing is lost
    muted       the mask of these basis functions of a source is zero. What was there is in no stem: it is in the residual
    solo        the masks of everything but these basis functions of one source are zero

A model may have a stage after its masks (HTMD-Net, which tells by its method `probe`); `intermediate` leaves it out, and so
does solo, because one basis function is not what that stage was made for.

The masks of a permutation-invariant model are of nobody in particular: an edit that names a source needs the tracks that the
user calls by that name, and finds in each chunk which output is which. Not a way to make new masks: it changes those there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from separation.audio import Reader, grid, resample, resample_margin
from separation.engine.chunks import read_beyond
from separation.engine.options import Options, SideInformation
from separation.engine.references import REFERENCES, AlignedReader
from separation.errors import JobError, ModelError
from separation.models.protocol import LatentSeparator, Separator, Spec, State, separate_by_masks

GUIDE = "guide"
"""What `Spec.needs` names and the side information holds: the tracks the user knows, ``[S, C, T]``, a source each."""

SHARPEST = 64.0
DEEPEST_DB = 120.0
FAITHFUL_DB = 10.0
"""A latent that gives less of noise back than this has no ideal masks worth the name."""

_ASKED = "Edit a separation"


@dataclass(frozen=True)
class Rows:
    """Basis functions (or bins) of one source.

    Args:
        source: its name.
        basis: indices, as in `LatentGrid.members`.
    """

    source: str
    basis: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "basis", tuple(sorted(set(self.basis))))
        if not isinstance(self.source, str) or not all(type(index) is int and index >= 0 for index in self.basis):
            raise JobError(
                _ASKED, f"basis functions {self.basis} of {self.source!r}", "Give a source and indices from 0 on"
            )


@dataclass(frozen=True)
class Edit:
    """What to change; JSON-able, and nothing by default. The formulas are in the file's docstring.

    Args:
        threshold_db: 0 to `DEEPEST_DB` below the strongest source; None for no threshold.
        sharpness: 0 to `SHARPEST`.
        muted: one entry a source.
        solo: hear these alone.
        oracle: sources that get the share of the true ones; needs references.
        intermediate: leave out the stage after the masks.

    Raises:
        JobError: a value is out of its range.

    >>> Edit.from_dict(Edit(sharpness=2).to_dict()) == Edit(sharpness=2)
    True
    """

    threshold_db: float | None = None
    sharpness: float = 1.0
    muted: tuple[Rows, ...] = ()
    solo: Rows | None = None
    oracle: tuple[str, ...] = ()
    intermediate: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "muted", tuple(rows for rows in self.muted if rows.basis))
        object.__setattr__(self, "oracle", tuple(self.oracle))
        problems = []
        if not _within(self.sharpness, SHARPEST):
            problems.append(f"a sharpness of {self.sharpness!r} (0 to {SHARPEST:g})")
        if self.threshold_db is not None and not _within(self.threshold_db, DEEPEST_DB):
            problems.append(f"a threshold of {self.threshold_db!r} dB (0 to {DEEPEST_DB:g}, or none)")
        if len({rows.source for rows in self.muted}) < len(self.muted):
            problems.append("two lists of muted basis functions for one source (one)")
        if self.solo is not None and not self.solo.basis:
            problems.append("nothing to hear alone (a basis function or more)")
        if problems:
            raise JobError(_ASKED, ", ".join(problems), "Use values in the ranges given in brackets")

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that it names."""
        named = [rows.source for rows in (*self.muted, *((self.solo,) if self.solo else ()))]
        return tuple(dict.fromkeys([*named, *self.oracle]))

    def delivered(self, options: Options) -> Options:
        """How the engine should deliver it.

        What is taken away must not come back by making the stems add up, so muting and solo give the estimates as they are;
        and what is heard alone has nothing from above the model's band, which would go to whoever still sounds.
        """
        if self.solo is not None:
            return replace(options, consistency=False, band="model")
        return replace(options, consistency=False) if self.muted else options

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Edit":
        """The edit of a JSON object; what is left out is not changed.

        Raises:
            JobError: it is not one.
        """
        try:
            values = dict(fields)
            values["muted"] = tuple(_rows(rows) for rows in values.get("muted") or ())
            values["solo"] = None if values.get("solo") is None else _rows(values["solo"])
            oracle = values.get("oracle") or ()
            if isinstance(oracle, str) or not all(isinstance(name, str) for name in oracle):
                raise TypeError("the oracle's sources are a list of names")
            return cls(**{**values, "oracle": tuple(oracle), "intermediate": bool(values.get("intermediate"))})
        except (TypeError, ValueError, KeyError) as error:
            raise JobError(_ASKED, f"no edit: {error}", "See separation/engine/edits.py for its fields") from error


def _rows(fields: Mapping[str, Any]) -> Rows:
    return Rows(fields["source"], tuple(fields["basis"]))


def _within(value: Any, most: float) -> bool:
    return type(value) in (int, float) and isfinite(value) and 0 <= value <= most


class Edited(nn.Module):
    """A latent separator with its masks changed; itself one. An edit that changes nothing gives the separator's own numbers.

    One for each job: between `masks` and `refine` it remembers the order of the sources of a chunk.

    Args:
        separator: in eval mode.
        edit: what to change.
        guided: the side information will hold `GUIDE`. Only looked at for permutation-invariant separators, whose sources
            then come in the guide's order.

    Raises:
        ModelError: the separator has no masks or carries a state from chunk to chunk; it has no stage after the masks that
            could be left out, or no such source; its sources have no fixed order and nothing tells it; its latent does not
            give a signal back, so that it has no oracle.
    """

    def __init__(self, separator: Separator, edit: Edit, *, guided: bool = False) -> None:
        super().__init__()
        self.separator: Any = separator
        self.edit = edit
        spec = separator.spec
        self._guided = guided and spec.permutation_invariant
        self._staged = hasattr(separator, "probe")
        self._order: Tensor | None = None
        _check(separator, edit, guided=self._guided, staged=self._staged)
        if edit.oracle:
            assert isinstance(separator, LatentSeparator)  # as checked
            self._level = _level(separator, staged=self._staged)
        self.eval()

    @property
    def spec(self) -> Spec:
        spec: Spec = self.separator.spec
        more = [name for name, used in ((REFERENCES, self.edit.oracle), (GUIDE, self._guided)) if used]
        return replace(
            spec,
            needs=tuple(dict.fromkeys([*spec.needs, *more])),
            permutation_invariant=spec.permutation_invariant and not self._guided,
            stateful=spec.stateful and not self._guided,
        )

    def encode(self, x: Tensor) -> Tensor:
        z: Tensor = self.separator.encode(x)
        return z

    def masks(self, z: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> Tensor:
        masks: Tensor = self.separator.masks(z, side, state)
        if self._guided:
            self._order = self._find_order(masks, z, side[GUIDE])
            masks = _arranged(masks, self._order)
        if self.edit.oracle:
            masks = self._told(masks, z, side)
        if self.edit.sharpness != 1:
            masks = sharpened(masks, self.edit.sharpness)
        if self.edit.threshold_db is not None:
            masks = gated(masks, self.edit.threshold_db)
        return self._without_muted(masks)

    def decode(self, latents: Tensor, length: int) -> Tensor:
        stems: Tensor = self.separator.decode(_arranged(latents, self._back(len(latents))), length)
        return _arranged(stems, self._there(len(stems)))

    def refine(self, stems: Tensor, mixture: Tensor) -> Tensor:
        if self._staged and (self.edit.intermediate or self.edit.solo is not None):
            return stems
        there, back = self._there(len(stems)), self._back(len(stems))
        self._order = None  # of this chunk; the next one has its own
        refined: Tensor = self.separator.refine(_arranged(stems, back), mixture)
        return _arranged(refined, there)

    def separate(self, mixture: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> tuple[Tensor, State]:
        if self.edit == Edit() and not self._guided:
            estimates: tuple[Tensor, State] = self.separator.separate(mixture, side, state)
            return estimates
        return separate_by_masks(self, mixture, side, state), None

    def _there(self, items: int) -> Tensor | None:
        """For each item of a batch the outputs in the guide's order; channels may have become items."""
        return None if self._order is None else self._order.repeat_interleave(items // len(self._order), 0)

    def _back(self, items: int) -> Tensor | None:
        order = self._there(items)
        return None if order is None else order.argsort(1)

    def _find_order(self, masks: Tensor, z: Tensor, guide: Tensor) -> Tensor:
        """Which output each track of the guide ``[B, S, C, T]`` is: ``[B, S]``."""
        stems = self.separator.decode(masks * z.unsqueeze(1), guide.shape[-1]).float()
        return _alike(guide.mean(2), stems.mean(2))

    def _told(self, masks: Tensor, z: Tensor, side: Mapping[str, Tensor]) -> Tensor:
        """With the shares of the true sources for those that the edit names."""
        truth = side[REFERENCES]
        if self._guided:  # true sources of exchangeable names: the guide says which is which
            truth = _arranged(truth, _alike(side[GUIDE].mean(2), truth.mean(2)))
        if truth.shape[2] != z.shape[1]:  # masks of the mid signal
            truth = truth.mean(2, keepdim=True)
        amounts = torch.stack([self.separator.encode(one) for one in truth.unbind(1)], 1).abs()
        total = amounts.sum(1, keepdim=True)
        share = torch.where(total > 0, amounts / total.clamp_min(_tiny(total)), 1 / amounts.shape[1])
        chosen = torch.tensor([name in self.edit.oracle for name in self.spec.sources], device=z.device).view(
            -1, 1, 1, 1
        )
        level = self._level.to(masks).view(-1, 1, 1, 1)
        return _beside(masks / level, share, chosen) * level

    def _without_muted(self, masks: Tensor) -> Tensor:
        solo, sources = self.edit.solo, self.spec.sources
        if solo is None and not self.edit.muted:
            return masks
        keep = torch.ones(len(sources), 1, masks.shape[-2], 1, dtype=masks.dtype, device=masks.device)
        for rows in (*self.edit.muted, *((solo,) if solo else ())):
            if rows.basis[-1] >= masks.shape[-2]:
                raise ModelError(
                    f"Edit basis function {rows.basis[-1]} of {rows.source}",
                    f"the model has {masks.shape[-2]} of them",
                    f"Choose from 0 to {masks.shape[-2] - 1}",
                )
        if solo is not None:
            keep.zero_()[sources.index(solo.source), 0, list(solo.basis)] = 1
        for rows in self.edit.muted:
            keep[sources.index(rows.source), 0, list(rows.basis)] = 0
        return masks * keep


def sharpened(masks: Tensor, sharpness: float) -> Tensor:
    """Shares to a power: ``[B, S, *]`` -> the same, with the same sums over S.

    >>> sharpened(torch.tensor([[0.8, 0.2]]), 2.0).round(decimals=4)
    tensor([[0.9412, 0.0588]])
    """
    strongest = masks.amax(1, keepdim=True)
    powers = (masks / strongest.clamp_min(_tiny(masks))) ** sharpness
    return masks.sum(1, keepdim=True) * powers / powers.sum(1, keepdim=True).clamp_min(_tiny(masks))


def gated(masks: Tensor, threshold_db: float) -> Tensor:
    """Sources far below the strongest lose a cell to the others: ``[B, S, *]`` -> the same, with the same sums over S.

    >>> gated(torch.tensor([[0.9, 0.1]]), 12.0)
    tensor([[1., 0.]])
    """
    kept = masks * (masks >= masks.amax(1, keepdim=True) * 10 ** (-threshold_db / 20))
    total = kept.sum(1, keepdim=True)
    return kept * (masks.sum(1, keepdim=True) / torch.where(total > 0, total, 1.0))


def side_at_model(spec: Spec, told: Mapping[str, Sequence[Reader]]) -> SideInformation:
    """Recordings at any rate as side information at the model's.

    Args:
        spec: of the separator.
        told: for each name in ``spec.needs`` one reader a source, in order, all of the rate, channels, start and length of
            what is separated (see `AlignedReader`).

    Returns:
        ``side(start, length)[name]``: float32 ``[S, C, length]``.
    """

    def side(start: int, length: int) -> dict[str, Tensor]:
        return {
            name: torch.from_numpy(np.stack([_at_model(reader, spec, start, length) for reader in readers]))
            for name, readers in told.items()
        }

    return side


def edit_sides(
    separator: Edited,
    mixture: Reader,
    *,
    references: Mapping[str, Reader],
    tracks: Mapping[str, Reader],
    starts: tuple[int, int],
) -> SideInformation | None:
    """What an edited separator has to be told about a recording; None if nothing.

    Args:
        separator: the edited one.
        mixture: the part of the recording that is separated.
        references: true sources by name. Where the model's sources are exchangeable, any names will do.
        tracks: what the user knows by the names of the sources, for the guide.
        starts: first sample of `mixture` in the references, and in the tracks.

    Raises:
        JobError: a true source is missing.
        ModelError: the model's own needs cannot be met.
    """
    spec = separator.spec
    told: dict[str, list[Reader]] = {}
    if REFERENCES in spec.needs:
        anonymous = GUIDE in spec.needs and len(references) == len(spec.sources)
        told[REFERENCES] = _chosen(
            "the true", list(references) if anonymous else spec.sources, references, mixture, starts[0]
        )
    if GUIDE in spec.needs:
        told[GUIDE] = _chosen("the tracks of", spec.sources, tracks, mixture, starts[1])
    return side_at_model(spec, told) if told else None


def _chosen(
    what: str, names: Sequence[str], readers: Mapping[str, Reader], mixture: Reader, start: int
) -> list[Reader]:
    missing = [name for name in names if name not in readers]
    if missing:
        raise JobError(
            _ASKED,
            f"it needs {what} {', '.join(names)}, and there is none called {', '.join(missing)}",
            "Separate a recording with references, such as the examples, or edit without the oracle",
        )
    return [AlignedReader(readers[name], mixture, start) for name in names]


def _at_model(reader: Reader, spec: Spec, start: int, length: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Samples of a recording at the model's rate, beyond its ends what the mixture has there (`engine.chunks`)."""
    step, model_step = grid(reader.sample_rate, spec.sample_rate)
    margin = -(-resample_margin(reader.sample_rate, spec.sample_rate) // step)
    first, last = start // model_step - margin, -(-(start + length) // model_step) + margin
    block = read_beyond(reader, first * step, (last - first) * step, mirrored=not spec.silent_ends)
    skip = start - first * model_step
    heard = resample(block, reader.sample_rate, spec.sample_rate)[:, skip : skip + length]
    return np.ascontiguousarray(heard, dtype=np.float32)


def _check(separator: Separator, edit: Edit, *, guided: bool, staged: bool) -> None:
    spec = separator.spec
    found, advice = "", "Choose another model"
    unknown = [name for name in edit.sources if name not in spec.sources]
    if not isinstance(separator, LatentSeparator):
        found = "it has no masks"
    elif spec.stateful and not guided:  # a guide keeps the order where a state would
        found = "it passes a state from chunk to chunk"
    elif unknown:
        found, advice = f"it has no source called {', '.join(unknown)}", f"Choose from {', '.join(spec.sources)}"
    elif edit.intermediate and not staged:
        found, advice = "it has no stage after its masks that could be left out", "Leave that part of the edit out"
    elif edit.sources and spec.permutation_invariant and not guided:
        found = f"it gives {', '.join(spec.sources)} in any order, and nothing tells which is meant"
        advice = "Edit a separation that is there, whose tracks tell"
    if found:
        raise ModelError(f"Edit what {type(separator).__name__} does", found, advice)


def _level(separator: LatentSeparator, *, staged: bool) -> Tensor:
    """The mask ``[S]`` that lets everything through, level and all; found with pink noise.

    Models trained on a loss that leaves the level open have any, and some have latents that do not give a signal back.
    """
    device = next((tensor.device for tensor in _tensors(separator)), torch.device("cpu"))
    rate, sources = separator.spec.sample_rate, len(separator.spec.sources)
    white = torch.fft.rfft(torch.randn(rate, generator=torch.Generator().manual_seed(0)))
    pink = torch.fft.irfft(white / torch.arange(1, len(white) + 1).sqrt(), rate)
    x = (pink / pink.std()).view(1, 1, -1).to(device)
    with torch.no_grad():
        stems = separator.decode(separator.encode(x).unsqueeze(1).repeat(1, sources, 1, 1, 1), rate)
        stems = (stems if staged else separator.refine(stems, x))[0, :, 0]
    level = (stems * x[0]).sum(-1) / stems.square().sum(-1).clamp_min(_tiny(stems))
    left = (x[0] - level.unsqueeze(-1) * stems).square().sum(-1) / x.square().sum()
    worst = float(-10 * torch.log10(left.clamp_min(_tiny(left))).amin())
    if worst < FAITHFUL_DB or bool((level <= 0).any()):
        raise ModelError(
            f"Use the oracle in {type(separator).__name__}",
            f"without any mask its latent gives a signal back to {worst:.1f} dB only, or upside down: it has no ideal masks",
            "Use an oracle of the spectrogram, such as oracle:irm2, or a model that masks spectrograms",
        )
    found: Tensor = level
    return found


def _tensors(separator: LatentSeparator) -> list[Tensor]:
    return [*separator.parameters(), *separator.buffers()] if isinstance(separator, nn.Module) else []


def _beside(masks: Tensor, share: Tensor, chosen: Tensor) -> Tensor:
    """The chosen sources' masks are `share`; the others share what is left as they shared what they had, or equally."""
    rest = (1 - (share * chosen).sum(1, keepdim=True)).clamp_min(0)
    others = masks * ~chosen
    total = others.sum(1, keepdim=True)
    equal = 1 / (~chosen).sum().clamp_min(1)
    return torch.where(chosen, share, rest * torch.where(total > 0, others / total.clamp_min(_tiny(total)), equal))


def _alike(tracks: Tensor, others: Tensor) -> Tensor:
    """Which of the others ``[B, S, T]`` is most like each track ``[B, S, T]``, whatever its level and sign: ``[B, S]``."""
    inner = torch.einsum("bst,brt->bsr", tracks, others).abs()
    norms = tracks.norm(dim=-1).unsqueeze(2) * others.norm(dim=-1).unsqueeze(1)
    alike = (inner / norms.clamp_min(_tiny(norms))).cpu().numpy()
    orders = [linear_sum_assignment(one, maximize=True)[1] for one in alike]
    return torch.from_numpy(np.stack(orders)).to(tracks.device)


def _arranged(values: Tensor, order: Tensor | None) -> Tensor:
    """``[B, S, *]`` with the sources of each item in its order ``[B, S]``."""
    if order is None:
        return values
    arranged: Tensor = values[torch.arange(len(order), device=order.device).unsqueeze(1), order]
    return arranged


def _tiny(like: Tensor) -> float:
    return torch.finfo(like.dtype).tiny
