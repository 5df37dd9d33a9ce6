"""Earshot: hear, see and rate sound separation. The map, lowest floor first.

errors         one small tree of exceptions
signals        short audio in memory: Signal, Stems
audio          files <-> blocks: readers, writers, resampling (numpy only)
transforms     tensors <-> tensors: STFT, windows
statistics     numbers about numbers: intervals, tests, agreement, rankings, power
ratings        what people said: trials, events, clips (no torch)
datasets       folders of recordings -> tracks, and the splits that may be trusted
models         one architecture, one file; the Separator protocol
metrics        reference, estimate -> numbers
visualisation  numbers -> pictures
hub            names -> ready separators: bundled, folder, Hugging Face Hub
engine         blocks -> stems: chunks, overlap, progress, jobs
training       mixing, losses, recipes, the loop
evaluation     models x data sets -> tables
listening      how to ask people: studies, plans, screening, analysis (no torch)
settings       one frozen object from the environment
ui             the pages and the player; the only room that knows Gradio
cli            earshot ...

`separation.load("vocals")` gives a ready model, `separation.separate(model, signal)` its stems.
Importing this package loads no torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from separation.engine import separate as separate
    from separation.hub import load as load

__version__ = "0.5.0"
_LAZY = {"load": "separation.hub", "separate": "separation.engine"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
