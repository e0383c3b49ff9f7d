"""``configs/replay.yaml``: the labels of a finished run, made again from its manifest and compared."""

from labelmine.workflows.replay.recorded_run import RecordedRun, open_run
from labelmine.workflows.replay.replay import Replay
from labelmine.workflows.replay.replaying import Replaying, ReplayKnobs

__all__ = ["RecordedRun", "Replay", "ReplayKnobs", "Replaying", "open_run"]
