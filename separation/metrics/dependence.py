"""How much the blocks of a latent tell of each other; between blocks only, whatever happens inside them.

It says nothing of how good a separation is, so it is not in the catalogue: a model may be trained to have none, and a page
shows what is left of it.
"""

import torch
from torch import Tensor

SHRINKAGE = 0.05
"""Part of the mean variance that is added to every dimension's: the correlations of a few seconds are not quite known."""


def block_dependence(covariance: Tensor, size: int) -> Tensor:
    """The multi-information of Gaussian blocks in nats, a scalar: 0 if they are independent.

    ``(sum_i log det C_ii - log det C) / 2``: how far the Gaussian is from the product of those of its blocks (Cover and
    Thomas, Elements of Information Theory, theorem 8.4.1), with `SHRINKAGE`.

    Args:
        covariance: C ``[M, M]``.
        size: dimensions of a block; M is a multiple of it.

    >>> block_dependence(torch.eye(4), 2)
    tensor(0.)
    """
    floor = SHRINKAGE * covariance.diagonal().mean() + torch.finfo(covariance.dtype).tiny
    covariance = covariance + floor * torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    own = torch.stack([covariance[at : at + size, at : at + size] for at in range(0, len(covariance), size)])
    nats: Tensor = 0.5 * (torch.linalg.slogdet(own).logabsdet.sum() - torch.linalg.slogdet(covariance).logabsdet)
    return nats
