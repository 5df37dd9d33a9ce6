"""Numbers about numbers: how far to trust a mean or a median, and whether two models differ. No torch.

intervals  the bootstrap
paired     two models on the same tracks, and many such pairs
agreement  whether several people say the same of the same thing
"""

from separation.statistics.agreement import Alpha as Alpha
from separation.statistics.agreement import ordinal_alpha as ordinal_alpha
from separation.statistics.intervals import Interval as Interval
from separation.statistics.intervals import MedianInterval as MedianInterval
from separation.statistics.intervals import bootstrap_median as bootstrap_median
from separation.statistics.intervals import cluster_bootstrap as cluster_bootstrap
from separation.statistics.intervals import crossed_bootstrap as crossed_bootstrap
from separation.statistics.paired import FEWEST as FEWEST
from separation.statistics.paired import Paired as Paired
from separation.statistics.paired import PairedAnswers as PairedAnswers
from separation.statistics.paired import holm as holm
from separation.statistics.paired import paired as paired
from separation.statistics.paired import paired_answers as paired_answers
from separation.statistics.paired import rank_biserial as rank_biserial
