"""Folders of recordings -> tracks, one reader a layout, and the splits that may be trusted.

`detect` finds the layout of a folder, `LAYOUTS[name].read` its tracks, `open_stem` and `open_mixture` their samples, and
`check` says everything that is wrong with it.
"""

from separation.datasets.check import Check as Check
from separation.datasets.check import check as check
from separation.datasets.layouts import LAYOUTS as LAYOUTS
from separation.datasets.layouts import Layout as Layout
from separation.datasets.layouts import detect as detect
from separation.datasets.stems import open_mixture as open_mixture
from separation.datasets.stems import open_path as open_path
from separation.datasets.stems import open_stem as open_stem
from separation.datasets.tracks import Found as Found
from separation.datasets.tracks import Known as Known
from separation.datasets.tracks import Problem as Problem
from separation.datasets.tracks import Track as Track
from separation.datasets.tracks import check_split as check_split
