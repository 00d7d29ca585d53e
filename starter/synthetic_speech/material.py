"""Collects the utterances: synthetic and genuine speech, copies of the genuine, telephone lines; and lays the folds.

Everything is kept in one int16 array of at most three seconds an utterance beside a table, so that one build serves all
experiments. A variant is the same utterance after a channel: 0 clean, then light, light, medium, medium, heavy.
"""

from __future__ import annotations

import csv
import functools
import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from synthetic_speech import channels
from synthetic_speech.audio import RATE_HZ, WINDOW, Samples, prepare, read_audio, speech_windows
from synthetic_speech.copy_synthesis import Copier, copiers


@dataclass(frozen=True)
class Utterance:
    """One piece of speech of at most three seconds."""

    name: str
    is_fake: bool
    system: str
    """Synthesiser, or `copy:<way>` for our own copies, empty for genuine speech."""
    family: str
    """tts, voice_conversion, vocoder, codec; copy for our own; empty for genuine speech."""
    corpus: str
    speaker: str
    pair: str
    """For fakes: file of the genuine counterpart; for copies: name of the utterance copied."""
    use: str
    """train; choose: genuine speech to count false alarms on, never trained on; coded: likewise."""
    num_samples: int = 0
    variant: int = 0
    first_sample: int = 0


@dataclass(frozen=True)
class Folders:
    """Where the material lies."""

    shared: Path
    restored: Path
    """What restore_choose.py made of more_real.csv."""
    programs: Path
    """`usr` of unpacked Debian packages: flite."""


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _studio(folders: Folders) -> Iterator[tuple[Utterance, Samples]]:
    root = folders.shared / "wild" / "speech"
    for row in _rows(root / "SPEECH.csv"):
        is_fake, coded = row["kind"] == "fake", bool(row["system"]) and row["kind"] == "real"
        utterance = Utterance(
            row["file"], is_fake, "" if coded else row["system"], row["family"] if is_fake else "", row["corpus"],
            row["speaker"], row["pair"], "coded" if coded else "train",
        )  # fmt: skip
        yield utterance, read_audio(root / row["file"])


def _grid(folders: Folders, most: int) -> Iterator[tuple[Utterance, Samples]]:
    taken: dict[str, int] = {}
    for row in _rows(folders.shared / "clips" / "PROVENANCE.csv"):
        if row["label"] != "real" or row["has_audio"] != "yes":
            continue
        speaker = row["speaker_id"]
        if taken.get(speaker, 0) >= most:
            continue
        taken[speaker] = taken.get(speaker, 0) + 1
        corpus = "GRID" if speaker.startswith("grid") else "web"
        sound = read_audio(folders.shared / "clips" / row["file"])
        for number, window in enumerate(speech_windows(sound, 6)):
            yield Utterance(f"{row['file']}#{number}", False, "", "", corpus, speaker, "", "train"), window


def _web(folders: Folders) -> Iterator[tuple[Utterance, Samples]]:
    wild = folders.shared / "wild"
    listed = [
        (wild / r["file"], r) for r in _rows(wild / "MANIFEST.csv") if r["kind"] == "real" and r["has_sound"] == "yes"
    ]
    listed += [(folders.restored / r["file"], r) for r in _rows(wild / "more_real.csv") if r["has_audio"] == "yes"]
    for path, row in listed:
        if "singing" in row["doubt"] or row["use"] not in ("train", "choose") or not path.exists():
            continue
        sound = read_audio(path)
        corpus = "GRID" if row["person"].startswith("grid") else "web"
        for number, window in enumerate(speech_windows(sound, 3)):
            if is_speech(window):
                yield Utterance(f"{row['file']}#{number}", False, "", "", corpus, row["person"], "", row["use"]), window


@functools.cache
def _voice_detector() -> object:
    from silero_vad import load_silero_vad

    return load_silero_vad()


def is_speech(samples_S: Samples) -> bool:
    """Whether the voice detector hears speech for at least .9 s."""
    import torch
    from silero_vad import get_speech_timestamps

    heard = get_speech_timestamps(torch.from_numpy(samples_S.copy()), _voice_detector(), sampling_rate=RATE_HZ)
    return sum(part["end"] - part["start"] for part in heard) >= 0.9 * RATE_HZ


SENTENCES = (
    "please call me back when you have read this message", "the meeting has been moved to thursday afternoon",
    "i never said that to anybody and you know it", "we are going to need a much larger boat for this",
    "your parcel could not be delivered today", "it was the best of times and it was the worst of times",
    "could you send me the money before the end of the week", "the weather tomorrow will be cloudy with some rain",
    "prices rose by three per cent in the last quarter", "she opened the letter and read it twice",
    "there is nothing in the world quite like it", "turn left at the second light and then go straight on",
)  # fmt: skip


def _flite(folders: Folders) -> Iterator[tuple[Utterance, Samples]]:
    import os
    import subprocess
    import tempfile

    environment = {**os.environ, "LD_LIBRARY_PATH": str(folders.programs / "lib" / "x86_64-linux-gnu")}
    for voice in ("kal16", "awb", "rms", "slt"):
        for number, sentence in enumerate(SENTENCES):
            with tempfile.NamedTemporaryFile(suffix=".wav") as file:
                command = [folders.programs / "bin" / "flite", "-voice", voice, "-t", sentence, file.name]
                subprocess.run(command, env=environment, check=True, capture_output=True)
                sound = read_audio(Path(file.name))
            utterance = Utterance(
                f"flite/{voice}_{number}", True, f"copy:flite_{voice}", "copy", "flite", f"flite_{voice}", "", "train"
            )
            yield utterance, sound


def _copies(
    genuine: list[tuple[Utterance, Samples]], most: int, ways: dict[str, Copier], seed: int
) -> Iterator[tuple[Utterance, Samples]]:
    names = list(ways)
    for number, index in enumerate(np.random.default_rng(seed).permutation(len(genuine))[:most]):
        utterance, samples_S = genuine[index]
        way = names[number % len(names)]
        copy = ways[way](samples_S, np.random.default_rng([seed, number]))
        yield (
            replace(
                utterance,
                name=f"{way}/{utterance.name}",
                is_fake=True,
                system=f"copy:{way}",
                family="copy",
                pair=utterance.name,
            ),
            copy,
        )


def surroundings(shared: Path) -> channels.Surroundings:
    """The noises, music and the room response of clips/."""
    paths = sorted((shared / "clips" / "noise_esc10_cc0").iterdir()) + sorted(
        (shared / "clips" / "music_sonicpi_cc0").iterdir()
    )
    noises = [sound for sound in map(read_audio, paths) if np.std(sound) > 1e-3]
    return channels.Surroundings(
        noises, [read_audio(p) for p in sorted((shared / "clips" / "noise_rir").glob("*.wav"))]
    )


class Material:
    """The table and the sound of all utterances and variants."""

    def __init__(self, utterances: list[Utterance], sound: npt.NDArray[np.int16]) -> None:
        self.utterances, self.sound = utterances, sound

    def samples(self, index: int) -> Samples:
        """Return an utterance as float32 in [-1, 1]."""
        u = self.utterances[index]
        return np.asarray(self.sound[u.first_sample : u.first_sample + u.num_samples] / 32767, np.float32)

    @staticmethod
    def load(folder: Path) -> Material:
        """Read the parts that `build` wrote, in their order."""
        utterances, sounds, position = [], [], 0
        for path in sorted(folder.glob("part_*.npz")):
            with np.load(path) as part:
                rows, sound = json.loads(str(part["utterances"])), part["sound"]
            utterances += [replace(Utterance(**row), first_sample=row["first_sample"] + position) for row in rows]
            sounds.append(sound)
            position += len(sound)
        return Material(utterances, np.concatenate(sounds))


def collect(folders: Folders, most_copies: int, seed: int) -> Iterator[tuple[Utterance, Samples]]:
    """Genuine and synthetic speech as it lies there, then flite, then copies of some of the genuine."""
    genuine = []
    for utterance, sound in (*_studio(folders), *_grid(folders, 5), *_web(folders)):
        samples = prepare(sound)[:WINDOW] if len(sound) else sound
        if len(samples) <= RATE_HZ // 2:
            continue
        if not utterance.is_fake and utterance.use == "train":
            genuine.append((utterance, samples))
        yield utterance, samples
    for utterance, sound in (
        *_flite(folders),
        *_copies(genuine, most_copies, copiers(folders.shared / "weights" / "lyra"), seed),
    ):
        yield utterance, prepare(sound)[:WINDOW]


def variants(around: channels.Surroundings, is_copy: bool, number: int) -> dict[int, channels.Channel | None]:
    """Channels of an utterance by variant: originals go through all, copies stay clean and go through one."""
    ways: dict[int, channels.Channel | None] = {
        0: None, 1: channels.light(around), 2: channels.medium(around), 3: channels.heavy(around)
    }  # fmt: skip
    return {v: way for v, way in ways.items() if not is_copy or v in (0, 1 + number % 3)}


def _batches(pairs: Iterator[tuple[Utterance, Samples]], size: int) -> Iterator[list[tuple[Utterance, Samples]]]:
    while batch := list(itertools.islice(pairs, size)):
        yield batch


def build(folders: Folders, out: Path, most_copies: int = 200, seed: int = 0, size: int = 100) -> None:
    """Collect, copy, send through channels and write parts of `size` utterances; parts already there are kept."""
    out.mkdir(parents=True, exist_ok=True)
    around = surroundings(folders.shared)
    for part, batch in enumerate(_batches(collect(folders, most_copies, seed), size)):
        path = out / f"part_{part:03}.npz"
        if path.exists():
            continue
        rows, pieces, position = [], [], 0
        for number, (utterance, samples_S) in enumerate(batch):
            for variant, channel in variants(around, utterance.family == "copy", number).items():
                stream = np.random.default_rng([seed, 1, part, number, variant])
                changed = samples_S if channel is None else channel(samples_S, stream)
                final = np.clip(channels.with_floor(changed, stream), -1, 1)
                rows.append(asdict(replace(utterance, variant=variant, num_samples=len(final), first_sample=position)))
                pieces.append((final * 32767).astype(np.int16))
                position += len(final)
        np.savez(out / "unfinished.npz", sound=np.concatenate(pieces), utterances=json.dumps(rows))
        (out / "unfinished.npz").rename(path)


if __name__ == "__main__":
    speech_and_video, restored, debian_tools = map(Path, sys.argv[1:4])
    build(Folders(speech_and_video, restored, debian_tools), Path(__file__).parents[1] / "cache" / "material")
