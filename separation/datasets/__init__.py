"""Folders of recordings -> tracks, one reader a layout, and the splits that may be trusted."""

from separation.datasets.tracks import Track as Track
from separation.datasets.tracks import check_split as check_split
