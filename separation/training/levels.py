"""Give a model that was trained on a scale-invariant loss its levels back.

SI-SDR leaves the gain, and even the sign, of every output open; training settles on some that hardly change from mixture to
mixture. A listener needs outputs that add up to the mixture, so one constant gain a source is fitted once, by least squares
over mixtures: never per recording, which would make levels wander.
"""

import torch

from separation.models import Separator
from separation.training.mixing import Mixer
from separation.training.objectives import estimates


@torch.no_grad()
def fit_gains(
    model: Separator, mixer: Mixer, examples: int, *, seed: int, device: torch.device | str = "cpu"
) -> list[float]:
    """The gains g that minimise ``sum |mixture - sum_s g_s estimate_s|^2`` over the mixer's first `examples` of `seed`.

    Deterministic. `model` is in eval mode and applies no gains of its own.
    """
    sources = len(model.spec.sources)
    left = torch.zeros(sources, sources, dtype=torch.float64)
    right = torch.zeros(sources, dtype=torch.float64)
    for i in range(examples):
        references = torch.from_numpy(mixer.example(seed, 0, i)).to(device)
        mixture = references.sum(0)
        stems = estimates(model, mixture[None, None], references[None, :, None])[0, :, 0].double().cpu()
        left += stems @ stems.T
        right += stems @ mixture.double().cpu()
    return [float(gain) for gain in torch.linalg.lstsq(left, right).solution]
