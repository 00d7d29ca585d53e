"""One timeline for the streams of a file: where timestamps jump, they jump for all streams, or what follows is in doubt.

Joined recordings, splices in broadcasts and counters that start anew make timestamps jump. If each stream mended its own, video
and audio would drift apart. So the packets of both are looked through once, in the order of the file and without decoding: the
first stream to jump says how far, the other must follow. Holes are no jumps: what comes after one keeps its time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import av
import av.error

from veridical.media.container import MAX_GAP_S, audio_stream, has_video, open_input, video_stream

JITTER_S = 0.1
"""A decoding time that runs back by less is an inaccuracy, not a jump."""
USUAL_STEP_S = 1.0
"""A decoding time that advances by more must be confirmed by the next one."""
SAME_JUMP_S = 2.0
"""Streams that jump to times this near to each other made the same jump: interleaving and losses keep them apart."""

Packet: TypeAlias = "av.Packet[Any]"


@dataclass(frozen=True)
class Timeline:
    """What to do with the timestamps of a file."""

    shifts: dict[int, list[tuple[int, float]]]
    """For a stream's index: from which of its packets on how many seconds are added."""
    disbelieved: dict[int, set[int]]
    """For a stream's index: packets whose times fit neither what comes before nor what comes after."""
    in_doubt: list[tuple[float, float]]
    """Parts, in seconds, after a jump of one stream that the other did not follow: what belongs together is not known."""
    damaged: set[int] = field(default_factory=set)
    """Indices of streams of which packets arrived incomplete: which frames come out depends on which are decoded."""

    def is_plain(self, stream: av.stream.Stream) -> bool:
        """Return whether the timestamps of a stream are right as they are."""
        return not self.shifts.get(stream.index) and not self.disbelieved.get(stream.index)

    def packets(
        self, container: av.container.InputContainer, stream: av.VideoStream | av.AudioStream
    ) -> Iterator[Packet]:
        """Yield the packets of a stream, from its first on, with their times on the timeline."""
        if self.is_plain(stream):
            yield from container.demux(stream)
            return
        shifts, shift_s = dict(self.shifts.get(stream.index, ())), 0.0
        for number, packet in enumerate(container.demux(stream)):
            shift_s = shifts.get(number, shift_s)
            if number in self.disbelieved.get(stream.index, ()):
                packet.pts = packet.dts = None
            elif packet.time_base is not None:
                shift = round(shift_s / packet.time_base)
                packet.pts = None if packet.pts is None else packet.pts + shift
                packet.dts = None if packet.dts is None else packet.dts + shift
            yield packet


def timeline(path: Path) -> Timeline:
    """Return the timeline of a file's video stream and audio track.

    Raises:
        UnusableVideoError: when the file cannot be opened.
    """
    state = path.stat() if path.is_file() else None
    return _timeline(path, None if state is None else (state.st_size, state.st_mtime_ns))


@lru_cache(maxsize=64)
def _timeline(path: Path, stamp: tuple[int, int] | None) -> Timeline:
    with open_input(path) as container:
        video = video_stream(container, path) if has_video(container) else None
        streams = [stream for stream in (video, audio_stream(container, video)) if stream is not None]
        survey = _Survey([stream.index for stream in streams])
        packets = container.demux(*streams)
        try:
            for packet in packets:
                survey.look(packet)
        except (av.error.FFmpegError, OSError):
            pass  # readers stop here, too
    return survey.timeline()


@dataclass
class _Stream:
    number: int = 0
    """Of the next packet."""
    last_s: float | None = None
    step_s: float = 0.04
    shift_s: float = 0.0
    held: tuple[int, float] | None = None
    """A packet whose time is unexpected, until the next one says what it was."""
    shifts: list[tuple[int, float]] = field(default_factory=list)
    disbelieved: set[int] = field(default_factory=set)
    is_damaged: bool = False


@dataclass
class _Doubt:
    start_s: float
    shift_s: float
    to_s: float
    """Where the jump led, in the file's own time."""
    followers: dict[int, int]
    """Streams that have not made the same jump, and how many packets they had before it."""
    stop_s: float | None = None


class _Survey:
    """Looks at the packets of all streams in the order of the file."""

    def __init__(self, indices: list[int]) -> None:
        self._streams = {index: _Stream() for index in indices}
        self._doubts: list[_Doubt] = []
        self._end_s = 0.0

    def look(self, packet: Packet) -> None:
        """Take the next packet."""
        stream = self._streams[packet.stream.index]
        stream.is_damaged |= packet.is_corrupt
        number, stream.number = stream.number, stream.number + 1
        if packet.dts is None or packet.time_base is None:
            return
        time_s = float(packet.dts * packet.time_base)
        if stream.held is not None:
            self._settle(packet.stream.index, stream, time_s)
        if stream.last_s is None or -JITTER_S <= time_s - stream.last_s <= USUAL_STEP_S:
            self._accept(stream, time_s)
        else:
            stream.held = number, time_s

    def timeline(self) -> Timeline:
        """Return what was found."""
        for index, stream in self._streams.items():
            if stream.held is not None:
                self._settle(index, stream, stream.held[1])
        in_doubt = [
            (doubt.start_s, max(self._end_s, doubt.start_s) if doubt.stop_s is None else doubt.stop_s)
            for doubt in self._doubts
            if any(self._streams[index].number > before for index, before in doubt.followers.items())
        ]
        return Timeline(
            {index: stream.shifts for index, stream in self._streams.items()},
            {index: stream.disbelieved for index, stream in self._streams.items()},
            in_doubt,
            {index for index, stream in self._streams.items() if stream.is_damaged},
        )

    def _settle(self, index: int, stream: _Stream, next_s: float) -> None:
        """Decide on the packet held: after a hole, alone with its time, or the first after a jump."""
        assert stream.held is not None
        assert stream.last_s is not None
        (number, held_s), stream.held = stream.held, None
        if 0 <= held_s - stream.last_s <= MAX_GAP_S and next_s >= held_s - JITTER_S:
            self._accept(stream, held_s)
        elif -JITTER_S <= next_s - stream.last_s <= MAX_GAP_S or not -JITTER_S <= next_s - held_s <= MAX_GAP_S:
            stream.disbelieved.add(number)
        else:
            self._jump(index, stream, number, held_s)
            self._accept(stream, held_s)

    def _accept(self, stream: _Stream, time_s: float) -> None:
        if stream.last_s is not None and 0 < time_s - stream.last_s <= USUAL_STEP_S:
            stream.step_s = time_s - stream.last_s
        stream.last_s = time_s
        self._end_s = max(self._end_s, time_s + stream.shift_s + stream.step_s)

    def _jump(self, index: int, stream: _Stream, number: int, time_s: float) -> None:
        leader = next((doubt for doubt in self._doubts if _is_same(doubt, index, time_s)), None)
        if leader is None:
            expected_s = (stream.last_s or 0.0) + stream.step_s + stream.shift_s
            stream.shift_s = expected_s - time_s
            others = {other: state.number for other, state in self._streams.items() if other != index}
            self._doubts.append(_Doubt(expected_s, stream.shift_s, time_s, others))
        else:
            stream.shift_s = leader.shift_s
            del leader.followers[index]
            self._end_earlier_doubts(leader)
        stream.shifts.append((number, stream.shift_s))

    def _end_earlier_doubts(self, settled: _Doubt) -> None:
        """From a jump that all streams made, what belongs together is known again."""
        for doubt in self._doubts:
            if doubt is not settled and doubt.stop_s is None and doubt.followers and doubt.start_s < settled.start_s:
                doubt.stop_s = settled.start_s


def _is_same(doubt: _Doubt, index: int, time_s: float) -> bool:
    return index in doubt.followers and abs(time_s - doubt.to_s) <= SAME_JUMP_S
