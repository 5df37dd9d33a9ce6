"""Files to blocks and blocks to files, exactly; resampling, outlines, and what must be known before a file is used.

Numpy only; no torch. In reading order: `readers` (what the engine pulls), `decode` (files in), `scan` (one pass),
`writers` (files out), `files` (names, disk, zip), `resample`, `peaks` (outlines for the page).

For comparing by ear, imported by name: `aligned` (one recording in another's form), `alignment` (how late it is), `loudness`,
`bandwidth`, `anchors` (sounds of known badness).
"""

from separation.audio.decode import open_reader, probe
from separation.audio.files import require_disk, safe_name, write_zip
from separation.audio.peaks import PeakBuilder, Peaks, peaks_of, read_peaks
from separation.audio.readers import BLOCK, ArrayReader, AudioInfo, BaseReader, Reader, RegionReader
from separation.audio.resample import StreamResampler, grid, resample, resample_margin, resampled_length
from separation.audio.scan import Scan, scan
from separation.audio.writers import BIT_DEPTHS, FORMATS, Writer, estimated_bytes, export

__all__ = [
    "BIT_DEPTHS",
    "BLOCK",
    "FORMATS",
    "ArrayReader",
    "AudioInfo",
    "BaseReader",
    "PeakBuilder",
    "Peaks",
    "Reader",
    "RegionReader",
    "Scan",
    "StreamResampler",
    "Writer",
    "estimated_bytes",
    "export",
    "grid",
    "open_reader",
    "peaks_of",
    "probe",
    "read_peaks",
    "require_disk",
    "resample",
    "resample_margin",
    "resampled_length",
    "safe_name",
    "scan",
    "write_zip",
]
