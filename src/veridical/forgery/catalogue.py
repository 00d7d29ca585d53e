"""All forgeries by name."""

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
        face_swap, "swap", "other_speaker", visual=True, audio=False, needs_sound=False,
        summary="another person's face, warped by landmarks, colours matched, soft edge",
    ),
    "face_swap_poisson": Forgery(
        face_swap_poisson, "swap", "other_speaker", visual=True, audio=False, needs_sound=False,
        summary="another person's face, blended by Poisson's equation",
    ),
    "autoencoder_swap": Forgery(
        autoencoder_swap, "autoencoder", "other_speaker", visual=True, audio=False, needs_sound=False,
        summary="another person's face from an auto-encoder trained on the pair (slow)", slow=True,
    ),
    "reenactment": Forgery(
        reenactment, "reenactment", "other_speaker", visual=True, audio=False, needs_sound=False,
        summary="the own face moved by another person's expressions",
    ),
    "lip_dub": Forgery(
        lip_dub, "mouth", "same_speaker", visual=True, audio=False, needs_sound=True,
        summary="mouth and sound of other speech of the same person",
    ),
    "mouth_replaced": Forgery(
        mouth_replaced, "mouth", "same_speaker", visual=True, audio=False, needs_sound=False,
        summary="mouth of other speech of the same person under the own sound",
    ),
    "neural_mouth": Forgery(
        neural_mouth, "rendering", "none", visual=True, audio=False, needs_sound=False,
        summary="mouth re-rendered by a low-rank model of itself",
    ),
    "self_blend": Forgery(
        self_blend, "self_blend", "none", visual=True, audio=False, needs_sound=False,
        summary="a slightly changed copy of the face blended over itself",
    ),
    "voice_exchanged": Forgery(
        voice_exchanged, "voice", "other_speaker", visual=False, audio=True, needs_sound=True,
        summary="another person's speech under the own picture",
    ),
    "voice_converted": Forgery(
        voice_converted, "voice", "other_speaker", visual=False, audio=True, needs_sound=True,
        summary="the own words in another person's pitch and timbre",
    ),
    "voice_vocoded": Forgery(
        voice_vocoded, "vocoder", "none", visual=False, audio=True, needs_sound=True,
        summary="the own words through a mel vocoder with made-up phase",
    ),
    "speech_spliced": Forgery(
        speech_spliced, "splice", "same_speaker", visual=False, audio=True, needs_sound=True,
        summary="some words replaced by other words of the same person",
    ),
    "desync": Forgery(
        desync, "desync", "none", visual=False, audio=False, needs_sound=True,
        summary="genuine sound shifted against the genuine picture",
    ),
    "face_swap_partial": Forgery(
        partly(face_swap), "swap", "other_speaker", visual=True, audio=False, needs_sound=False,
        summary="face_swap on a stretch of the video",
    ),
    "lip_dub_partial": Forgery(
        partly(lip_dub), "mouth", "same_speaker", visual=True, audio=True, needs_sound=True,
        summary="lip_dub on a stretch of the video: mouth and spliced sound",
    ),
    "voice_converted_partial": Forgery(
        partly(voice_converted), "voice", "other_speaker", visual=False, audio=True, needs_sound=True,
        summary="voice_converted on a stretch of the video",
    ),
}  # fmt: skip
