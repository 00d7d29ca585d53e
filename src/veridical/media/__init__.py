"""Reading and writing video files with exact time; the only room that knows the codec library."""

from veridical.media.errors import STATUSES, Status, UnusableVideoError
from veridical.media.frames import VideoFrame, VideoFrames, video_frames
from veridical.media.probe import MediaFacts, probe
from veridical.media.sound import audio_samples
from veridical.media.transcode import CRF_OF_LEVEL, transcode
from veridical.media.write import write_video

__all__ = [
    "CRF_OF_LEVEL",
    "STATUSES",
    "MediaFacts",
    "Status",
    "UnusableVideoError",
    "VideoFrame",
    "VideoFrames",
    "audio_samples",
    "probe",
    "transcode",
    "video_frames",
    "write_video",
]
