"""Numbers about numbers: how far to trust a mean or a median, and whether two models differ. No torch.

intervals    the bootstrap
paired       two models on the same tracks, and many such pairs
ratings      what listeners gave to conditions on items; description and intervals over listeners
differences  do listeners rate conditions differently
models       mixed and ordinal models; listeners and items drawn at once
agreement    whether several people say the same of the same thing, and one person the same twice
choices      ABX; Bradley-Terry
power        how many listeners a difference needs
correlation  whether a metric says what listeners say
"""

from separation.statistics.agreement import Alpha as Alpha
from separation.statistics.agreement import Icc as Icc
from separation.statistics.agreement import Retest as Retest
from separation.statistics.agreement import alpha as alpha
from separation.statistics.agreement import icc as icc
from separation.statistics.agreement import leave_one_out as leave_one_out
from separation.statistics.agreement import ordinal_alpha as ordinal_alpha
from separation.statistics.agreement import test_retest as test_retest
from separation.statistics.choices import Abx as Abx
from separation.statistics.choices import Comparisons as Comparisons
from separation.statistics.choices import Ranking as Ranking
from separation.statistics.choices import Standing as Standing
from separation.statistics.choices import abx as abx
from separation.statistics.choices import abx_needed as abx_needed
from separation.statistics.choices import abx_panel as abx_panel
from separation.statistics.choices import bradley_terry as bradley_terry
from separation.statistics.correlation import Coefficient as Coefficient
from separation.statistics.correlation import Correlation as Correlation
from separation.statistics.correlation import correlate as correlate
from separation.statistics.differences import Friedman as Friedman
from separation.statistics.differences import Notices as Notices
from separation.statistics.differences import PairTest as PairTest
from separation.statistics.differences import Permutation as Permutation
from separation.statistics.differences import SignFlip as SignFlip
from separation.statistics.differences import bs1534_permutation as bs1534_permutation
from separation.statistics.differences import friedman as friedman
from separation.statistics.differences import notices as notices
from separation.statistics.differences import sign_flip as sign_flip
from separation.statistics.differences import wilcoxon_holm as wilcoxon_holm
from separation.statistics.intervals import Interval as Interval
from separation.statistics.intervals import MedianInterval as MedianInterval
from separation.statistics.intervals import bootstrap_median as bootstrap_median
from separation.statistics.intervals import cluster_bootstrap as cluster_bootstrap
from separation.statistics.intervals import crossed_bootstrap as crossed_bootstrap
from separation.statistics.models import MixedModel as MixedModel
from separation.statistics.models import OrdinalModel as OrdinalModel
from separation.statistics.models import TwoWay as TwoWay
from separation.statistics.models import Wald as Wald
from separation.statistics.models import mixed_model as mixed_model
from separation.statistics.models import ordinal_model as ordinal_model
from separation.statistics.models import two_way_bootstrap as two_way_bootstrap
from separation.statistics.paired import FEWEST as FEWEST
from separation.statistics.paired import Paired as Paired
from separation.statistics.paired import PairedAnswers as PairedAnswers
from separation.statistics.paired import holm as holm
from separation.statistics.paired import paired as paired
from separation.statistics.paired import paired_answers as paired_answers
from separation.statistics.paired import rank_biserial as rank_biserial
from separation.statistics.power import listeners_needed as listeners_needed
from separation.statistics.power import power as power
from separation.statistics.power import simulated_power as simulated_power
from separation.statistics.power import smallest_difference as smallest_difference
from separation.statistics.power import votes_needed as votes_needed
from separation.statistics.ratings import Coverage as Coverage
from separation.statistics.ratings import Description as Description
from separation.statistics.ratings import Ratings as Ratings
from separation.statistics.ratings import bootstrap_interval as bootstrap_interval
from separation.statistics.ratings import coverage as coverage
from separation.statistics.ratings import describe as describe
from separation.statistics.ratings import far_out as far_out
from separation.statistics.ratings import listener_means as listener_means
from separation.statistics.ratings import paired_means as paired_means
from separation.statistics.ratings import quartiles as quartiles
from separation.statistics.ratings import t_interval as t_interval
