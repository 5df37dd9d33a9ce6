"""Models x data sets -> tables: the protocols behind every figure on a card."""

from separation.evaluation.protocols import Row as Row
from separation.evaluation.protocols import speaker_pairs as speaker_pairs
from separation.evaluation.protocols import vocals_mir1k as vocals_mir1k
from separation.evaluation.protocols import vocals_outside as vocals_outside
