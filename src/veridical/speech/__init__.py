"""Speech: is the voice in a sound file synthetic? A small detector that travels with the package needs no download."""

from veridical.speech.detector import SpeechPrediction, SyntheticSpeechDetector, WindowScore, load_speech_detector
from veridical.speech.files import AUDIO_SUFFIXES, find_recordings, predict_speech

__all__ = [
    "AUDIO_SUFFIXES",
    "SpeechPrediction",
    "SyntheticSpeechDetector",
    "WindowScore",
    "find_recordings",
    "load_speech_detector",
    "predict_speech",
]
