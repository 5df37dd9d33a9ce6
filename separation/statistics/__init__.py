"""Numbers about numbers: intervals. Numpy only."""

from separation.statistics.intervals import Interval as Interval
from separation.statistics.intervals import cluster_bootstrap as cluster_bootstrap
