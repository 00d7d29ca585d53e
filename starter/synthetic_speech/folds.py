"""Lays the folds: a system is judged by a model that has heard neither it nor the speakers, and no genuine counterpart.

`STRICT`: systems that share speakers form one fold, all held out together: the harder, cheaper form (six models).
`one_system_out` holds out one system at a time; LJ Speech, one speaker under half of all systems, is then split by text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthetic_speech.material import Utterance

Index = npt.NDArray[np.int64]

STRICT: dict[str, tuple[str, ...]] = {
    "lj": (
        "BVAE-TTS + WaveGlow", "FastSpeech 2 + HiFi-GAN", "Glow-TTS + WaveGlow", "PortaSpeech + HiFi-GAN", "Tacotron 2 + WaveGlow",
        "Tortoise v2", "VITS", "WaveGrad 2", "DiffWave", "HiFi-GAN V1", "MelGAN", "WaveGlow",
    ),
    "arctic": ("Glow-TTS + HiFi-GAN (Larynx)", "cyc-noise-NSF", "hn-sinc-NSF", "AdaIN-VC", "AutoVC", "FragmentVC"),
    "codec": ("DAC", "EnCodec", "FreeCodec", "Lyra V1", "Lyra V2", "SuperCodec", "TiCodec"),
    "avc": ("Assem-VC", "Cotatron-VC + HiFi-GAN", "Mellotron-VC", "PPG-VC", "Blow", "Cotatron-VC + MelGAN"),
    "libri_vc": ("FreeCodec-VC", "VQMIVC", "YourTTS", "wav2vec-VC", "QuickVC"),
    "vctk": ("DiffGAN-TTS + HiFi-GAN", "Transformer TTS + HiFi-GAN", "Tacotron 2 + HiFi-GAN", "StyleSpeech + HiFi-GAN", "UnivNet"),
}  # fmt: skip
LIBRI = ("LibriTTS", "LibriSpeech")


@dataclass(frozen=True)
class Fold:
    """Rows to train on and rows to judge, both over all variants."""

    name: str
    systems: tuple[str, ...]
    train: Index
    test: Index


def corpora_of(corpus: str) -> set[str]:
    """Corpora whose genuine speech compares with a system's: `A to B` names both, LibriTTS and LibriSpeech are one."""
    names = set(corpus.split(" to "))
    return names | set(LIBRI) if names & set(LIBRI) else names


def _shown(u: Utterance, systems: tuple[str, ...], fold: str) -> bool:
    """Whether a fake is judged in this fold (LJ speakers only in their own)."""
    return u.system in systems and (fold == "lj" or u.speaker != "ljspeech")


def _spread(speaker: str, num_folds: int) -> int:
    return sum(map(ord, speaker)) % num_folds


def strict_folds(utterances: list[Utterance]) -> Iterator[Fold]:
    """Six folds by speakers; GRID and web speakers are dealt out so that each genuine utterance is judged once."""
    source = {u.name: u for u in utterances if u.variant == 0}
    claimed = _claims(utterances, source)
    for number, (name, systems) in enumerate(STRICT.items()):
        speakers = claimed[name] | {s for s in _free(utterances, claimed) if _spread(s, len(STRICT)) == number}
        lyra = name == "codec"
        held = np.array(
            [
                u.speaker in speakers or (source[u.pair].speaker in speakers if u.pair in source else False)
                for u in utterances
            ]
        )
        system = np.array([u.system in systems or (lyra and u.system == "copy:lyra") for u in utterances])
        usable = np.array([u.use == "train" for u in utterances])
        test = np.array(
            [_shown(u, systems, name) if u.is_fake else u.speaker in speakers or u.use != "train" for u in utterances]
        )
        yield Fold(name, systems, np.flatnonzero(usable & ~held & ~system), np.flatnonzero(test))


def _claims(utterances: list[Utterance], source: dict[str, Utterance]) -> dict[str, set[str]]:
    """Speakers of each fold's fakes and of their genuine counterparts."""
    claimed: dict[str, set[str]] = {}
    for name, systems in STRICT.items():
        fakes = [u for u in utterances if u.is_fake and u.variant == 0 and _shown(u, systems, name)]
        claimed[name] = {u.speaker for u in fakes} | {source[u.pair].speaker for u in fakes if u.pair in source}
        if name != "lj":
            claimed[name].discard("ljspeech")
    return claimed


def _free(utterances: list[Utterance], claimed: dict[str, set[str]]) -> set[str]:
    taken = set().union(*claimed.values())
    return {u.speaker for u in utterances if not u.is_fake and u.use == "train"} - taken


def one_system_out(utterances: list[Utterance], seed: int = 0) -> Iterator[Fold]:
    """One fold a system: without it, without its speakers (LJ Speech: without its texts and half of the other genuine ones)."""
    source = {u.name: u for u in utterances if u.variant == 0}
    stream = np.random.default_rng(seed)
    genuine_lj = sorted({u.name for u in utterances if not u.is_fake and u.speaker == "ljspeech"})
    for system in [s for group in STRICT.values() for s in group]:
        fakes = [u for u in utterances if u.system == system and u.variant == 0]
        speakers = {u.speaker for u in fakes} | {source[u.pair].speaker for u in fakes if u.pair in source}
        lj = "ljspeech" in speakers
        speakers.discard("ljspeech")
        aside = {u.pair for u in fakes} | (set(stream.permutation(genuine_lj)[: len(genuine_lj) // 2]) if lj else set())
        lyra = system.startswith("Lyra")
        corpora = set().union(*(corpora_of(u.corpus) for u in fakes))
        others = {u.speaker for u in utterances if not u.is_fake and u.corpus in corpora and u.speaker != "ljspeech"}
        if len([u for u in source.values() if not u.is_fake and u.speaker in speakers]) < 6 and not lj:
            speakers |= {s for s in others if _spread(s, 3) == 0}
        held = np.array(
            [
                u.speaker in speakers
                or u.name in aside
                or u.pair in aside
                or getattr(source.get(u.pair), "speaker", "") in speakers
                for u in utterances
            ]
        )
        gone = np.array([u.system == system or (lyra and u.system == "copy:lyra") for u in utterances])
        usable = np.array([u.use == "train" for u in utterances])
        test = np.array(
            [
                u.system == system if u.is_fake else u.use == "train" and (u.speaker in speakers or u.name in aside)
                for u in utterances
            ]
        )
        yield Fold(system, (system,), np.flatnonzero(usable & ~held & ~gone), np.flatnonzero(test))
