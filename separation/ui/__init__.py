"""The pages and the player; the only room that knows Gradio.

server     builds the pages and serves them
frame      what every page shares: services, header, errors as toasts
separate   the Separate page and the HTTP interface
models     the Models page
examples   the bundled recordings
routes     the job's audio over HTTP, for the player
player     the ES module that plays it
theme      how it all looks
gpu        ZeroGPU, where it is
"""

from separation.ui import gpu as gpu  # first: on ZeroGPU, `spaces` must come before anything that knows CUDA
