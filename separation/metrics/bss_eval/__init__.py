"""BSS-eval: how much of an estimate is its own source, how much the others, how much neither.

An estimate e is projected on what filters can make of its own reference, p, and on what they can make of all references, q:

    v3 ("sources")   SDR = p : e - p     SIR = p : q - p     SAR = q : e - q
    v4 ("images")    SDR = s : e - s     SIR = p : q - p     SAR = q : e - q     ISR = s : p - s

`bss_eval_v3` forgives what the filters can do (level, colouration, a delay below `taps`); `bss_eval_v4` compares with the
reference s itself, so that its SDR is the plain SNR. Their numbers must never be mixed, and neither is scale-invariant SDR.

Vincent, Gribonval and Fevotte, "Performance measurement in blind audio source separation", IEEE TASLP 14(4), 2006 (v3);
Vincent, Sawada, Bofill, Makino and Rosca, "First stereo audio source separation evaluation campaign", ICA 2007 (images);
Stoeter, Liutkus and Ito, "The 2018 signal separation evaluation campaign", LVA/ICA 2018 (v4: filters of the whole signal,
scores of windows). The values are those of mir_eval and fast_bss_eval (v3) and of museval (v4).

Correlations come from short FFTs over the signal, filters from one factorisation of a Gram matrix, projections from
overlap-save convolution of each window: what is held does not grow with the signal.

Limits of any BSS-eval in float64: where references are 140 dB and more below their strongest partial (pure tones, steep
low-passes without a noise floor), or have fewer samples than there are delays, the Gram matrix is singular to rounding. What
falls there is noise in the peers' numbers, which then differ among themselves by decibels; here it stays out of the projection.
"""

from separation.metrics.bss_eval.scores import TAPS as TAPS
from separation.metrics.bss_eval.scores import BssEval as BssEval
from separation.metrics.bss_eval.scores import Filters as Filters
from separation.metrics.bss_eval.scores import bss_eval_v3 as bss_eval_v3
from separation.metrics.bss_eval.scores import bss_eval_v4 as bss_eval_v4
from separation.metrics.bss_eval.scores import windows as windows
from separation.metrics.bss_eval.scores import with_rest as with_rest
