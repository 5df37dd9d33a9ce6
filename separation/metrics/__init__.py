"""Reference, estimate -> numbers in dB; higher is better. "SDR" is several things: each is named in full."""

from separation.metrics.bss_eval import bss_eval_v3_sdr as bss_eval_v3_sdr
from separation.metrics.si_sdr import si_sdr as si_sdr
from separation.metrics.si_sdr import snr as snr
