"""One separator on one track by one protocol: through the engine as a user's file would go, then compared.

Estimates and references of one track are held in memory here (float32), because metrics of whole tracks need them whole;
recordings of hours belong to `engine.run`, not into a benchmark.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from separation.audio import Reader, resample
from separation.datasets import Track, open_mixture
from separation.datasets.names import ACCOMPANIMENT, VOCALS, canonical
from separation.engine import Options, SideInformation, reference_side, run
from separation.errors import DataError, ModelError
from separation.evaluation.protocols import Protocol
from separation.evaluation.references import references_of
from separation.metrics import Value, measure
from separation.models import Separator
from separation.signals import Samples

SLACK = 0.1
"""Seconds by which two recordings of one thing may differ in length; codecs and frames of models do that."""

Audio = dict[str, Samples]


class Scored(NamedTuple):
    """What came out for one track.

    Attributes:
        values: by the protocol; of windows and, where a metric has such a thing, of the whole track.
        sample_rate: Hz at which was compared.
        duration: s of the track.
        seconds: that separating took.
    """

    values: list[Value]
    sample_rate: int
    duration: float
    seconds: float


def score(
    separator_at: Callable[[int], Separator],
    track: Track,
    protocol: Protocol,
    *,
    options: Options = Options(device="cpu"),  # noqa: B008  (frozen)
    scratch: Path | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Scored:
    """Separate a track's mixture and compare the estimates with its stems.

    Args:
        separator_at: gives the separator for a recording's rate in Hz; only oracles need to know it.
        scratch: folder for decoded copies.

    Raises:
        DataError: a source has no stem, or stems do not fit together.
        ModelError: the model does not give what the protocol compares.
        AudioError, DeviceError, Cancelled: see `engine.run`.
    """
    with open_mixture(track, scratch=scratch) as reader:
        separator = separator_at(reader.sample_rate)
        groups = scenarios(separator.spec.sources, protocol)
        references = [_references(track, names, reader, separator, protocol, scratch) for names, _ in groups]
        estimates, seconds = _separate(separator, track, reader, options, scratch, cancelled)
        mixture = _converted({"mixture": reader.read(0, reader.length)}, reader.sample_rate, protocol)["mixture"]
        rate = protocol.sample_rate or reader.sample_rate
        values: list[Value] = []
        for (names, reported), truth in zip(groups, references, strict=True):
            found = measure(
                truth,
                _converted(gathered(estimates, names), reader.sample_rate, protocol),
                rate,
                mixture=mixture,
                metrics=protocol.metrics,
                window=protocol.window,
                hop=protocol.hop,
                permutation=separator.spec.permutation_invariant,
                filters=protocol.filters,
            )
            values += [value for value in found if _wanted(value, reported, protocol)]
        return Scored(values, rate, reader.length / reader.sample_rate, seconds)


def _wanted(value: Value, reported: Sequence[str], protocol: Protocol) -> bool:
    voice = value.metric not in protocol.of_voices or canonical(value.source) == VOCALS
    return voice and value.source in ("", *reported)


def scenarios(sources: Sequence[str], protocol: Protocol) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Which sources are compared together, and which of them are reported from that comparison."""
    if protocol.sources is not None:
        return [(protocol.sources, protocol.reported or protocol.sources)]
    names = tuple(sources)
    known = {canonical(name): name for name in names}
    if not protocol.accompaniment or VOCALS not in known or ACCOMPANIMENT in known or len(names) < 3:
        return [(names, names)]
    voice = known[VOCALS]
    pair = (voice, ACCOMPANIMENT)
    return [(names, tuple(name for name in names if name != voice)), (pair, pair)]


def gathered(estimates: Audio, names: Sequence[str]) -> Audio:
    """The estimates by these names: by what they are called, and an accompaniment as the sum of all others.

    Raises:
        ModelError: the model gives no such source.
    """
    called = {canonical(name): name for name in estimates}
    found = {name: called[canonical(name)] for name in names if canonical(name) in called}
    rest = [name for name in estimates if name not in found.values()]
    missing = [name for name in names if name not in found and (name != ACCOMPANIMENT or not rest)]
    if missing:
        raise ModelError(
            f"Compare {', '.join(names)}",
            f"the model gives {', '.join(estimates)}, not {', '.join(missing)}",
            "Choose another protocol, or a model that separates these",
        )
    return {name: estimates[found[name]] if name in found else _sum([estimates[o] for o in rest]) for name in names}


def as_long_as(samples: Samples, length: int, sample_rate: int, what: str) -> Samples:
    """``[C, T]`` with `length` samples: silence after its end, or cut by what `SLACK` allows.

    Raises:
        DataError: it is longer than that.
    """
    extra = samples.shape[1] - length
    if extra > SLACK * sample_rate:
        raise DataError(
            f"Compare with {what}",
            f"it is {extra:,} samples ({extra / sample_rate:.2f} s) longer than the mixture",
            f"Cut it to the mixture's length; up to {SLACK} s are cut by themselves",
        )
    return samples[:, :length] if extra >= 0 else np.pad(samples, ((0, 0), (0, -extra)))


def _sum(audio: Sequence[Samples]) -> Samples:
    return np.asarray(np.sum(np.stack(audio), axis=0, dtype=np.float64), np.float32)


class _Collect:
    """A sink in memory."""

    def __init__(self) -> None:
        self.blocks: list[Samples] = []

    def write(self, block: Samples) -> None:
        self.blocks.append(block)


def _references(
    track: Track, names: Sequence[str], mixture: Reader, separator: Separator, protocol: Protocol, scratch: Path | None
) -> Audio:
    """What the sources should sound like, as the protocol compares it."""
    with ExitStack() as opened:
        readers = references_of(track, names, in_order=separator.spec.permutation_invariant, scratch=scratch)
        for reader in readers.values():
            opened.callback(reader.close)
        return _converted({name: _whole(r, mixture) for name, r in readers.items()}, mixture.sample_rate, protocol)


def _separate(
    separator: Separator,
    track: Track,
    reader: Reader,
    options: Options,
    scratch: Path | None,
    cancelled: Callable[[], bool] | None,
) -> tuple[Audio, float]:
    """Every source ``[C, T]`` at the recording's rate, and the seconds it took."""
    sinks = {name: _Collect() for name in separator.spec.sources}
    with ExitStack() as opened:
        side: SideInformation | None = None
        if separator.spec.needs:
            found = references_of(track, separator.spec.sources, scratch=scratch)
            for one in found.values():
                opened.callback(one.close)
            side = reference_side(found, separator.spec, mixture=reader)
        report = run(separator, reader, sinks, options=options, cancelled=cancelled, side=side)
    return {name: np.concatenate(sink.blocks, axis=1) for name, sink in sinks.items()}, report.seconds


def _whole(reader: Reader, mixture: Reader) -> Samples:
    """All of a reader, as long and as wide as the mixture; silence after its end.

    Raises:
        DataError: another rate, channels that cannot be matched, or longer than the mixture by more than `SLACK`.
    """
    name = reader.info.name
    if reader.sample_rate != mixture.sample_rate or reader.channels not in (1, mixture.channels):
        raise DataError(
            f"Compare with {name}",
            f"it has {reader.sample_rate:,} Hz and {reader.channels} channels, the mixture {mixture.sample_rate:,} Hz and "
            f"{mixture.channels}",
            "Bring all recordings of a track to one rate and one number of channels",
        )
    samples = as_long_as(reader.read(0, reader.length), mixture.length, mixture.sample_rate, name)
    return np.array(np.broadcast_to(samples, (mixture.channels, mixture.length)))


def _converted(audio: Audio, sample_rate: int, protocol: Protocol) -> Audio:
    """At the protocol's rate and channels."""
    rate = protocol.sample_rate or sample_rate
    heard = {name: np.asarray(x.mean(axis=0, keepdims=True)) for name, x in audio.items()} if protocol.mono else audio
    return heard if rate == sample_rate else {name: resample(x, sample_rate, rate) for name, x in heard.items()}
