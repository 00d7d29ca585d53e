"""All forgeries by name; a new one is a function and an entry here."""

from __future__ import annotations

from veridical.forgery.autoencoder_swap import autoencoder_swap
from veridical.forgery.face_swap import face_swap, face_swap_poisson
from veridical.forgery.footage import Forgery
from veridical.forgery.lip_dub import lip_dub, mouth_replaced
from veridical.forgery.neural_mouth import neural_mouth
from veridical.forgery.partial import partly
from veridical.forgery.reenactment import reenactment
from veridical.forgery.self_blend import self_blend
from veridical.forgery.voices import desync, speech_spliced, voice_converted, voice_exchanged, voice_vocoded

FORGERIES: dict[str, Forgery] = {
    "face_swap": Forgery(
        face_swap, "swap", "other_speaker", visual=True, audio=False, needs_audio=False,
        summary="another person's face, warped by landmarks, colours matched, feathered edge",
    ),
    "face_swap_poisson": Forgery(
        face_swap_poisson, "swap", "other_speaker", visual=True, audio=False, needs_audio=False,
        summary="another person's face, warped by landmarks, Poisson blending",
    ),
    "autoencoder_swap": Forgery(
        autoencoder_swap, "autoencoder", "other_speaker", visual=True, audio=False, needs_audio=False,
        summary="another person's face from an auto-encoder trained on the pair (slow)", slow=True,
    ),
    "reenactment": Forgery(
        reenactment, "reenactment", "other_speaker", visual=True, audio=False, needs_audio=False,
        summary="the target's own face moved by another person's expressions",
    ),
    "lip_dub": Forgery(
        lip_dub, "mouth", "same_speaker", visual=True, audio=False, needs_audio=True,
        summary="mouth and audio from other speech of the same person",
    ),
    "mouth_replaced": Forgery(
        mouth_replaced, "mouth", "same_speaker", visual=True, audio=False, needs_audio=False,
        summary="mouth from other speech of the same person, the target's own audio",
    ),
    "neural_mouth": Forgery(
        neural_mouth, "rendering", "none", visual=True, audio=False, needs_audio=False,
        summary="mouth re-rendered by a low-rank model of itself",
    ),
    "self_blend": Forgery(
        self_blend, "self_blend", "none", visual=True, audio=False, needs_audio=False,
        summary="a slightly changed copy of the face blended over itself",
    ),
    "voice_exchanged": Forgery(
        voice_exchanged, "voice", "other_speaker", visual=False, audio=True, needs_audio=True,
        summary="another person's speech with the target's own video",
    ),
    "voice_converted": Forgery(
        voice_converted, "voice", "other_speaker", visual=False, audio=True, needs_audio=True,
        summary="the target's words with another person's pitch and timbre",
    ),
    "voice_vocoded": Forgery(
        voice_vocoded, "vocoder", "none", visual=False, audio=True, needs_audio=True,
        summary="the target's words through a mel vocoder with reconstructed phase",
    ),
    "speech_spliced": Forgery(
        speech_spliced, "splice", "same_speaker", visual=False, audio=True, needs_audio=True,
        summary="some words replaced by other words of the same person",
    ),
    "desync": Forgery(
        desync, "desync", "none", visual=False, audio=False, needs_audio=True,
        summary="genuine audio shifted against the genuine video",
    ),
    "face_swap_partial": Forgery(
        partly(face_swap), "swap", "other_speaker", visual=True, audio=False, needs_audio=False,
        summary="face_swap on a segment of the video",
    ),
    "lip_dub_partial": Forgery(
        partly(lip_dub), "mouth", "same_speaker", visual=True, audio=True, needs_audio=True,
        summary="lip_dub on a segment of the video: mouth and spliced audio",
    ),
    "voice_converted_partial": Forgery(
        partly(voice_converted), "voice", "other_speaker", visual=False, audio=True, needs_audio=True,
        summary="voice_converted on a segment of the video",
    ),
}  # fmt: skip
