"""Models x data sets -> tables.

protocols     how models are compared
references    which stems belong to which source
scoring       one separator, one track
runner        all models, all tracks: resumable, parallel
tables        the table, rankings, comparisons
folders       estimates that are there already
museval_json  museval's files, out and in
leakage       trained on what it is measured on?
published     the figures on the cards of the bundled models
"""

from separation.evaluation.folders import Evaluated as Evaluated
from separation.evaluation.folders import document as document
from separation.evaluation.folders import evaluate_folders as evaluate_folders
from separation.evaluation.folders import evaluated as evaluated
from separation.evaluation.folders import track_numbers as track_numbers
from separation.evaluation.leakage import leaks as leaks
from separation.evaluation.museval_json import from_museval as from_museval
from separation.evaluation.museval_json import read_museval as read_museval
from separation.evaluation.museval_json import to_museval as to_museval
from separation.evaluation.museval_json import write_museval as write_museval
from separation.evaluation.protocols import PROTOCOLS as PROTOCOLS
from separation.evaluation.protocols import Protocol as Protocol
from separation.evaluation.references import references_of as references_of
from separation.evaluation.runner import Failure as Failure
from separation.evaluation.runner import benchmark as benchmark
from separation.evaluation.runner import failures as failures
from separation.evaluation.scoring import Scored as Scored
from separation.evaluation.scoring import score as score
from separation.evaluation.tables import Comparison as Comparison
from separation.evaluation.tables import Ranked as Ranked
from separation.evaluation.tables import Results as Results
from separation.evaluation.tables import compare as compare
from separation.evaluation.tables import is_yardstick as is_yardstick
from separation.evaluation.tables import joined as joined
from separation.evaluation.tables import matrix as matrix
from separation.evaluation.tables import metrics_in as metrics_in
from separation.evaluation.tables import rank as rank
from separation.evaluation.tables import read_table as read_table
from separation.evaluation.tables import track_values as track_values
