"""The short-time Fourier transform as a frozen latent, with perfect reconstruction to the sample.

Frames are centred: the signal is extended by half a window of zeros on both sides. Fewer frames cover the samples at the
ends; the inverse divides by the windows that were there, so these come back as exactly as the others.
"""

import torch
from torch import Tensor, nn


class STFT(nn.Module):
    """STFT and its inverse with a periodic Hann window, normalised by the window's sum of squares.

    Args:
        n_fft: window length in samples.
        hop_length: samples between frames; must divide `n_fft` at least twice (constant overlap-add).
        root: use the square root of the window, so that analysis and synthesis together are a Hann window.

    Shape:
        `forward`: ``[*, T]`` -> complex ``[*, F, K]`` with F = n_fft // 2 + 1, K = 1 + ceil(T / hop_length).
        `inverse`: ``[*, F, K]`` -> ``[*, T]``.

    >>> stft = STFT(64, 16)
    >>> stft(torch.zeros(2, 100)).shape
    torch.Size([2, 33, 8])
    """

    window: Tensor

    def __init__(self, n_fft: int, hop_length: int, *, root: bool = False) -> None:
        super().__init__()
        if hop_length < 1 or n_fft % hop_length or n_fft // hop_length < 2:
            raise ValueError(f"an STFT of {n_fft} samples needs a hop that divides it at least twice, not {hop_length}")
        self.n_fft, self.hop_length = n_fft, hop_length
        window = torch.hann_window(n_fft)
        self.register_buffer("window", window.sqrt() if root else window, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        lead, length = x.shape[:-1], x.shape[-1]
        extra = -length % self.hop_length
        flat = nn.functional.pad(x.reshape(-1, length), (0, extra))
        z = torch.stft(
            flat, self.n_fft, self.hop_length, window=self.window, center=True, pad_mode="constant", return_complex=True
        )
        return z.reshape(*lead, *z.shape[-2:])

    def inverse(self, z: Tensor, length: int) -> Tensor:
        """Back to ``[*, length]``."""
        lead = z.shape[:-2]
        flat = z.reshape(-1, *z.shape[-2:])
        x = torch.istft(flat, self.n_fft, self.hop_length, window=self.window, center=True, length=length)
        return x.reshape(*lead, length)
