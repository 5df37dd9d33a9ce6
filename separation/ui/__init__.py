"""The pages and the player; the only room that knows Gradio.

server     builds the pages and serves them
frame      what every page shares: services, header, errors as toasts
separate   the Separate page and the HTTP interface
models     the Models page; with it `model_routes` (what it asks over HTTP), `fetching` (downloads one can watch), cards/
evaluate   the Evaluate page; with it `measuring` (what may be measured, and a second to hear), `evaluate_data` (examples,
           offers, uploads), `evaluate_views` (the table -> rankings and figures), `evaluate_routes` (over HTTP), figures/
runs       evaluations as folders, and the thread that measures them
learn      the Learn page; with it `learn_routes` (what it asks over HTTP), `lesson_clips` (what is learned from), learn/
lessons    lessons as folders, and the thread that teaches
taught     the models that came of lessons, by names that the rest of the house understands
recording.js beside page.js: which part of the chosen recording is separated
examples   the bundled recordings
listen_routes  the listener's side of listening tests over HTTP (`listen_files`: its pages, listen/), without Gradio; alone:
           `study_server`; `study_guard` keeps the names of models from listeners
answers    how our own routes answer; `limits`: how much in a minute
routes     the job's audio over HTTP, for the player
player     the ES module that plays it
theme      how it all looks
gpu        ZeroGPU, where it is
"""

from separation.ui import gpu as gpu  # first: on ZeroGPU, `spaces` must come before anything that knows CUDA
