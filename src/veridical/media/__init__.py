"""Reading and writing video files with exact time; the only room that knows the codec library."""

from veridical.media.errors import STATUSES, Status, UnusableVideoError
from veridical.media.frames import VideoFrame, VideoFrames, parts_in_doubt, video_frames
from veridical.media.probe import MediaFacts, probe
from veridical.media.sound import FULL_SCALE, audio_samples, loudness_dbfs, step_loudness_dbfs
from veridical.media.transcode import CRF_OF_LEVEL, transcode
from veridical.media.write import write_video

__all__ = [
    "CRF_OF_LEVEL",
    "FULL_SCALE",
    "STATUSES",
    "MediaFacts",
    "Status",
    "UnusableVideoError",
    "VideoFrame",
    "VideoFrames",
    "audio_samples",
    "loudness_dbfs",
    "parts_in_doubt",
    "probe",
    "step_loudness_dbfs",
    "transcode",
    "video_frames",
    "write_video",
]
