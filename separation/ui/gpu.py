"""Hugging Face ZeroGPU, where it is: a GPU that is lent for the time of one call.

The only file that knows the package `spaces`. Everywhere else than on a ZeroGPU Space the functions here change
nothing. A folder called `spaces` (ours, with the Space's configuration) makes `import spaces` succeed without the
package, so what counts is whether `spaces.GPU` exists.
"""

from collections.abc import Callable
from typing import Any, TypeVar

spaces: Any
try:
    import spaces
except ImportError:  # not installed: the usual case outside Spaces
    spaces = None

F = TypeVar("F", bound=Callable[..., object])

START = 20.0
"""Seconds allowed for getting the GPU ready and moving the model there."""

SHORTEST, LONGEST = 15.0, 300.0
"""Seconds that may be asked for; more than the visitor's quota is refused before anything runs."""


def zero_gpu() -> bool:
    """Whether this process runs on a ZeroGPU Space."""
    if not hasattr(spaces, "GPU"):
        return False
    from spaces.config import Config

    return bool(Config.zero_gpu)


def with_gpu(seconds: Callable[..., float]) -> Callable[[F], F]:
    """Decorate a function that needs the GPU; `seconds` gets the same arguments and says for how long.

    >>> with_gpu(lambda text: 1.0)(len)("four")
    4
    """

    def duration(*args: object) -> int:
        return round(min(max(START + 1.5 * seconds(*args), SHORTEST), LONGEST))

    def decorate(function: F) -> F:
        decorated: F = spaces.GPU(duration=duration)(function) if zero_gpu() else function
        return decorated

    return decorate
