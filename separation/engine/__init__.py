"""Blocks -> stems: how a recording of any length passes through a separator.

options    what the engine is told and what it tells
chunks     where the chunks lie, and the audio of each
adapt      models for other channel counts
band       models for lower rates
stitch     the same voice on the same track
overlap    chunks -> one stream
delivery   raw estimates -> tracks, and how well they add up
references true sources beside a recording
pitches    the pitch of every voice beside a recording: kept, found, told to models that go by it
pitch_finding the same for a recording that is not separated yet, in the background
device     where, how precisely, and what when memory is short
observe    looking over the engine's shoulder
latents    what a model did inside, pooled while it runs
blocks     the same for models with a block a source: blocks, their covariance, the memory
memory     what a stateful separator goes on with in another recording, as a file too
edits      separators with their masks changed
editing    edits, and separations by corrected pitches, as jobs beside their original
voices     what a model of voices says of each, pooled while it runs
uploads    stems that a visitor hands over, looked at and kept
mixes      a mixture built from stems at chosen levels
drafts     a chosen recording before it is separated: seen, heard, expired
offers     true stems that come after the separation
segments   the numbers of every second, and where the worst are
segment_queue who measures them when somebody looks
files      a file in, a folder of stems out
run        all of it, in order
"""

from separation.engine.delivery import null_db as null_db
from separation.engine.device import resolve_device as resolve_device
from separation.engine.edits import Edit as Edit
from separation.engine.edits import Edited as Edited
from separation.engine.edits import Rows as Rows
from separation.engine.files import Separated as Separated
from separation.engine.files import separate_file as separate_file
from separation.engine.latents import Basis as Basis
from separation.engine.latents import LatentGrid as LatentGrid
from separation.engine.latents import LatentPool as LatentPool
from separation.engine.latents import basis as basis
from separation.engine.latents import read_grid as read_grid
from separation.engine.mixes import Written as Written
from separation.engine.mixes import write_mix as write_mix
from separation.engine.observe import ChunkView as ChunkView
from separation.engine.observe import Observer as Observer
from separation.engine.options import RESIDUAL as RESIDUAL
from separation.engine.options import Options as Options
from separation.engine.options import Progress as Progress
from separation.engine.options import Report as Report
from separation.engine.options import SideInformation as SideInformation
from separation.engine.options import Sink as Sink
from separation.engine.references import reference_side as reference_side
from separation.engine.run import run as run
from separation.engine.run import separate as separate
