"""A voice as a source and a filter, differentiable: a buzz of harmonics and some breath, through an all-pole vocal tract.

What the parametric source models of K. Schulze-Forster, G. Richard, L. Kelley, C. S. J. Doire and R. Badeau, "Unsupervised
music source separation using differentiable parametric source models", TASLP 2023, arXiv 2201.09592, section III, are made
of. Only signals and their parameters; no network, nothing learned, nothing that knows of voices.

*Controls* are ``[*, K]``, a value a frame. Frame k is centred at sample ``k * hop`` everywhere, so that K frames hold
``(K - 1) * hop`` samples, and neighbours overlap by half under a periodic Hann window, whose halves sum to one.

Two things are computed otherwise than in the released code, with the same numbers: the n equal harmonics of a frame are summed
in closed form, not one by one, and the recursion of the all-pole filter is compiled. What must be exact (phases, filters) is in
float64, on the CPU where the device has none.
"""

from math import log, pi

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchaudio.functional import lfilter

from separation.errors import ShapeError

FLOOR = 1e-7
"""What `exp_sigmoid` never falls below."""


def exp_sigmoid(x: Tensor, most: float = 2.0) -> Tensor:
    """A positive control from a free one: ``most * sigmoid(x) ^ ln 10 + 1e-7``.

    Engel et al., "DDSP: Differentiable digital signal processing", ICLR 2020, section B.5.

    >>> round(exp_sigmoid(torch.tensor(0.0)).item(), 4)
    0.4054
    """
    return most * torch.sigmoid(x) ** log(10) + FLOOR


def upsample(controls: Tensor, hop: int) -> Tensor:
    """Controls to samples under overlapping Hann windows: ``[*, K]`` -> ``[*, (K - 1) * hop]``."""
    rise = _rise(hop, controls)
    between = controls[..., :-1, None] * (1 - rise) + controls[..., 1:, None] * rise
    return between.flatten(-2)


def phases(f0: Tensor, hop: int, sample_rate: int) -> Tensor:
    """Where a pitch is in its cycle, in radians within [0, 2 pi): Hz ``[*, K]`` -> float64 ``[*, (K - 1) * hop]``.

    Hz are interpolated linearly, and cycles are summed in float64, which does not drift in any recording. Where the pitch is 0
    (unvoiced) the nearest one goes on, silently: a voice does not slide up from nothing.
    """
    held = _held(_double(f0))
    part = torch.arange(hop, dtype=torch.float64, device=held.device) / hop
    hz = held[..., :-1, None] * (1 - part) + held[..., 1:, None] * part
    cycles = torch.cumsum(hz.flatten(-2) / sample_rate, -1)
    return 2 * pi * (cycles - cycles.floor())


def buzz(f0: Tensor, hop: int, sample_rate: int, most: int = 101) -> tuple[Tensor, Tensor]:
    """Equal harmonics of a pitch, all that lie below half the rate but at most `most`, in all of amplitude one.

    Args:
        f0: Hz ``[*, K]``, 0 where unvoiced: silence there.

    Returns:
        Two parts ``[*, K - 1, hop]`` of every stretch between two frames, that of the frame before and that of the frame
        after it, each under its half of the window: see `voiced`. As many harmonics sound in a frame as fit under its own
        pitch, so that they come and go with the window and do not click.
    """
    angle = _stretches(phases(f0, hop, sample_rate), hop)
    pitch = _double(f0)
    held = _held(pitch).clamp_min(1e-3)
    count = (sample_rate / 2 / held).ceil().sub(1).clamp(1, most).unsqueeze(-1)  # below Nyquist, not at it
    sounding = ((pitch > 0) & (pitch < sample_rate / 2)).unsqueeze(-1).double()
    rise = _rise(hop, angle)
    before = _equal_harmonics(angle, count[..., :-1, :]) * sounding[..., :-1, :] * (1 - rise)
    after = _equal_harmonics(angle, count[..., 1:, :]) * sounding[..., 1:, :] * rise
    return before.to(f0), after.to(f0)


def voiced(parts: tuple[Tensor, Tensor], amplitude: Tensor) -> Tensor:
    """`buzz` at the amplitudes ``[*, K]`` of its frames -> ``[*, (K - 1) * hop]``."""
    before, after = parts
    return (amplitude[..., :-1, None] * before + amplitude[..., 1:, None] * after).flatten(-2)


def impulse_response(magnitudes: Tensor) -> Tensor:
    """A zero-phase filter of these gains from 0 to half the rate: ``[*, M]`` -> taps ``[*, 2 M - 1]``, the middle one at 0.

    By sampling the frequency response, under a Hann window (Engel et al. 2020, section B.5).
    """
    whole = torch.fft.irfft(magnitudes)
    centred = torch.fft.fftshift(whole, -1)
    return pad(centred * torch.hann_window(whole.shape[-1], dtype=whole.dtype, device=whole.device), (0, 1))


def filtered(x: Tensor, taps: Tensor) -> Tensor:
    """``[*, T]`` through zero-phase ``[*, 2 M - 1]`` taps -> ``[*, T]``, silence around it."""
    length, middle = x.shape[-1], taps.shape[-1] // 2
    n_fft = 1 << (length + taps.shape[-1] - 2).bit_length()
    whole: Tensor = torch.fft.irfft(torch.fft.rfft(x, n_fft) * torch.fft.rfft(taps, n_fft), n_fft)
    return whole[..., middle : middle + length]


def roll_off(points: int, sample_rate: int, *, reference_hz: float = 200.0, octave_db: float = 6.0) -> Tensor:
    """The gains ``[points]`` of a glottis from 0 to half the rate: 1 up to `reference_hz`, then falling by `octave_db`."""
    hz = torch.linspace(0, sample_rate / 2, points).clamp_min(reference_hz)
    octaves = torch.log2(hz / reference_hz)
    gains: Tensor = 10 ** (-octave_db * octaves / 20)
    return gains


def line_spectral_frequencies(y: Tensor) -> Tensor:
    """Free numbers ``[*, P + 1]`` -> ``[*, P]`` ordered frequencies in (0, pi), float64: positive steps that sum to pi."""
    steps = exp_sigmoid(_double(y))
    return (steps * (pi / steps.sum(-1, keepdim=True))).cumsum(-1)[..., :-1]


def coefficients(frequencies: Tensor) -> Tensor:
    """Line spectral frequencies ``[*, P]``, P even -> the filter ``a [*, P]`` of ``A(z) = 1 + a_1 z^-1 + ... + a_P z^-P``.

    ``A = (P + Q) / 2``; the zeros of the palindrome P are -1 and the odd frequencies, those of the antipalindrome Q are 1 and
    the even ones. As the frequencies are ordered, 1 / A is stable (Itakura 1975; Soong and Juang, "Line spectrum pair (LSP)
    and speech data compression", ICASSP 1984). In float64.

    Raises:
        ShapeError: P is odd.
    """
    order = frequencies.shape[-1]
    if order % 2:
        raise ShapeError("Make an all-pole filter", f"{order} line spectral frequencies", "Give an even number of them")
    cosines = 2 * torch.cos(_double(frequencies))
    palindrome, antipalindrome = (_product(cosines[..., first::2]) for first in (0, 1))
    palindrome = palindrome + pad(palindrome, (1, 0))[..., :-1]  # times 1 + z^-1; of what falls off nothing is needed
    antipalindrome = antipalindrome - pad(antipalindrome, (1, 0))[..., :-1]
    return ((palindrome + antipalindrome) / 2)[..., 1 : order + 1]


def all_pole(x: Tensor, a: Tensor) -> Tensor:
    """``y_n = x_n - a_1 y_(n-1) - ... - a_P y_(n-P)`` from silence: ``[*, N]``, ``[*, P]`` -> ``[*, N]`` of the type of `a`.

    The recursion itself, compiled, all frames beside each other, with its exact adjoint: torchaudio's (Yu and Fazekas,
    "Singing voice synthesis using differentiable LPC and glottal-flow-inspired wavetables", ISMIR 2023). In float64 it agrees
    with other ways of computing it to some 1e-8 of the output even where poles lie next to the unit circle; in float32 such
    filters explode.
    """
    frames, feedback = x.to(a).reshape(-1, x.shape[-1]), pad(a.reshape(-1, a.shape[-1]), (1, 0), value=1.0)
    forward = torch.zeros_like(feedback)
    forward[:, 0] = 1
    made: Tensor = lfilter(frames, feedback, forward, clamp=False)
    return made.reshape(x.shape)


def vocal_tract(x: Tensor, a: Tensor, hop: int) -> Tensor:
    """Samples through one all-pole filter a frame: ``[*, (K - 1) * hop]``, ``[*, K, P]`` -> ``[*, (K - 1) * hop]``.

    Each frame of two hops is filtered from silence, all at once, and they are overlap-added (section III-C).
    """
    stretches = _stretches(x, hop)
    silence = torch.zeros_like(stretches[..., :1, :])
    frames = torch.cat([torch.cat([silence, stretches], -2), torch.cat([stretches, silence], -2)], -1)
    made = all_pole(frames, a)
    rise = _rise(hop, made)
    joined = made[..., :-1, hop:] * (1 - rise) + made[..., 1:, :hop] * rise
    return joined.flatten(-2).to(x)


def envelope(a: Tensor, bins: int) -> Tensor:
    """``|1 / A|`` at `bins` frequencies from 0 to half the rate: ``[*, P]`` -> ``[*, bins]``."""
    gains: Tensor = 1 / torch.fft.rfft(pad(a, (1, 0), value=1.0), 2 * (bins - 1)).abs()
    return gains


def _stretches(x: Tensor, length: int) -> Tensor:
    """``[*, n * length]`` -> ``[*, n, length]``."""
    return x.reshape(*x.shape[:-1], -1, length)


def _rise(hop: int, like: Tensor) -> Tensor:
    """The first half of a periodic Hann window of two hops."""
    return torch.hann_window(2 * hop, dtype=like.dtype, device=like.device)[:hop]


def _double(x: Tensor) -> Tensor:
    return (x.cpu() if x.device.type == "mps" else x).double()


def _held(f0: Tensor) -> Tensor:
    """Zeros replaced by the last value before them that is none, at the beginning by the first; zero if all are."""
    frame = torch.arange(f0.shape[-1], device=f0.device).expand(f0.shape)
    last = torch.where(f0 > 0, frame, -1).cummax(-1).values
    first = (f0 > 0).int().argmax(-1, keepdim=True)
    return f0.gather(-1, torch.where(last < 0, first, last))


def _equal_harmonics(angle: Tensor, count: Tensor) -> Tensor:
    """``(sin x + sin 2x + ... + sin nx) / n`` in closed form."""
    half = angle / 2
    below = torch.sin(half)
    total = torch.sin(count * half) * torch.sin((count + 1) * half) / torch.where(below == 0, 1.0, below)
    return torch.where(below == 0, 0.0, total / count)


def _product(cosines: Tensor) -> Tensor:
    """The product of ``1 - c z^-1 + z^-2`` over the last axis: ``[*, n]`` -> ``[*, 2 n + 2]``, one zero more than it needs."""
    made = pad(torch.ones_like(cosines[..., :1]), (0, 2 * cosines.shape[-1] + 1))
    for index in range(cosines.shape[-1]):
        shifted = pad(made, (2, 0))[..., : made.shape[-1] + 1]
        made = made - cosines[..., index, None] * shifted[..., 1:] + shifted[..., :-1]
    return made
