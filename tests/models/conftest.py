"""One thread: beside anything else that computes, two threads of such small models wait for each other most of the time."""

import torch

torch.set_num_threads(1)
