"""Every exception that this library raises on purpose.

A message has three parts: what was asked, what was found, and what to do. The page shows them apart; the command line
prints them in one line.

    SeparationError
    ├── AudioError             a recording cannot be used
    │   ├── UnreadableAudio    not audio, corrupt or truncated
    │   ├── EmptyAudio         no samples
    │   └── NonFiniteAudio     holds NaN or infinity
    ├── DiskFull               the result would not fit
    ├── ShapeError             a tensor or array has the wrong axes
    ├── ModelError             a model cannot be used
    │   ├── UnknownModel       no such name, folder or repository
    │   ├── ConfigError        config.json does not follow the schema
    │   └── WeightsError       weights missing, pickled, damaged or not of this architecture
    ├── HubError               a repository cannot be fetched: missing, private, gated, too large, offline
    ├── DataError              a data folder is broken; lists what is wrong, file by file
    ├── DeviceError            the device that was asked for is not there
    ├── MissingExtra           an optional package is not installed
    ├── RatingError            a rating cannot be kept
    │   ├── UnknownTrial       withdrawn or never served
    │   ├── RatingConflict     contradicts what is saved, or there is no place left for it
    │   └── RatingsBusy        nothing is wrong with it, and it can be saved later
    ├── StudyError             a study cannot be read, planned, or do what is asked of it
    └── JobError               a job cannot go on
        ├── UnknownJob         expired, deleted or never made
        ├── Busy               too much else to do now
        └── Cancelled          stopped on request
"""


class SeparationError(Exception):
    """Base of the tree.

    Args:
        asked: what was asked for, e.g. ``"Read song.mp3"``.
        found: what was found instead, e.g. ``"the file holds no samples"``.
        advice: what the user can do now, e.g. ``"Export it again and retry"``.
    """

    def __init__(self, asked: str, found: str, advice: str) -> None:
        self.asked, self.found, self.advice = (part.strip().rstrip(".") for part in (asked, found, advice))
        super().__init__(f"{self.asked}: {self.found}. {self.advice}.")

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), (self.asked, self.found, self.advice)


class AudioError(SeparationError): ...


class UnreadableAudio(AudioError): ...


class EmptyAudio(AudioError): ...


class NonFiniteAudio(AudioError): ...


class DiskFull(SeparationError): ...


class ShapeError(SeparationError): ...


class ModelError(SeparationError): ...


class UnknownModel(ModelError): ...


class ConfigError(ModelError): ...


class WeightsError(ModelError): ...


class HubError(SeparationError): ...


class DataError(SeparationError): ...


class DeviceError(SeparationError): ...


class MissingExtra(SeparationError): ...


class RatingError(SeparationError): ...


class UnknownTrial(RatingError): ...


class RatingConflict(RatingError): ...


class RatingsBusy(RatingError): ...


class StudyError(SeparationError): ...


class JobError(SeparationError): ...


class UnknownJob(JobError): ...


class Busy(JobError): ...


class Cancelled(JobError): ...
