"""Reference, estimate -> numbers; higher is better unless the card says otherwise. "SDR" is several things: each is
named in full.

`measure` gives them all by name as a flat list, `METRICS` says what each means (docs/metrics.md for reading); the
functions below it work on tensors ``[*, S, C, T]``, reference first.
"""

from separation.metrics.blind import MaskEntropy as MaskEntropy
from separation.metrics.blind import level_db as level_db
from separation.metrics.blind import mask_entropy as mask_entropy
from separation.metrics.blind import null_db as null_db
from separation.metrics.blind import residual_db as residual_db
from separation.metrics.blind import stem_similarity as stem_similarity
from separation.metrics.bss_eval import BssEval as BssEval
from separation.metrics.bss_eval import bss_eval_v3 as bss_eval_v3
from separation.metrics.bss_eval import bss_eval_v4 as bss_eval_v4
from separation.metrics.bss_eval import windows as windows
from separation.metrics.bss_eval import with_rest as with_rest
from separation.metrics.catalogue import DEFAULT as DEFAULT
from separation.metrics.catalogue import METRICS as METRICS
from separation.metrics.catalogue import REASONS as REASONS
from separation.metrics.catalogue import Metric as Metric
from separation.metrics.catalogue import resolve as resolve
from separation.metrics.perceptual import log_spectral_distance as log_spectral_distance
from separation.metrics.perceptual import logwmse as logwmse
from separation.metrics.perceptual import multi_resolution_spectral_distance as multi_resolution_spectral_distance
from separation.metrics.perceptual import pesq as pesq
from separation.metrics.perceptual import stoi as stoi
from separation.metrics.ratios import SiBss as SiBss
from separation.metrics.ratios import latent_si_sdr as latent_si_sdr
from separation.metrics.ratios import si_bss as si_bss
from separation.metrics.ratios import si_sdr as si_sdr
from separation.metrics.ratios import snr as snr
from separation.metrics.silence import eps_wiass as eps_wiass
from separation.metrics.silence import pes_htmd as pes_htmd
from separation.metrics.silence import pes_wiass as pes_wiass
from separation.metrics.silence import silent_share as silent_share
from separation.metrics.silence import vad_agreement as vad_agreement
from separation.metrics.silence import voice_activity as voice_activity
from separation.metrics.summary import Summary as Summary
from separation.metrics.summary import summarise as summarise
from separation.metrics.values import Value as Value
from separation.metrics.values import assign as assign
from separation.metrics.values import measure as measure
