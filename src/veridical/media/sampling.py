"""Decoding for sampling: frames that are not on display at a sampling time are skipped where no other frame refers to them.

Before a packet is decoded, the packets after it say until when its frame is on display. Decoders of H.264, HEVC, MPEG-1 and
MPEG-2 are told to leave out an unwanted frame that nothing refers to; intra-only codecs are not
given it at all; all other codecs decode everything. That a wanted frame comes out is checked for each one; where it does
not, or timestamps are missing, run backwards or jump, `UnsafeError` says that the video must be decoded whole.
"""

from __future__ import annotations

import bisect
import heapq
import math
from collections import deque
from collections.abc import Iterator
from typing import Any, TypeAlias

import av
import av.error

from veridical.media.container import MAX_GAP_S, ROUNDING_S

SKIPPING_CODECS = ("h264", "hevc", "mpeg1video", "mpeg2video")
"""Decoders whose frames marked as referred to by no other can be left out one by one."""
LOOK_AHEAD = 64
"""Packets waited for until one says that no earlier frame can come any more."""
SLACK_S = 1e-6

Packet: TypeAlias = "av.Packet[Any]"


class UnsafeError(Exception):
    """Something in this video makes it unsure which frames can be left out."""


def can_skip(container: av.container.InputContainer, stream: av.VideoStream) -> bool:
    """Return whether decoding only the sampled frames is safe to try."""
    context = stream.codec_context
    if context.codec.intra_only:
        return stream.time_base is not None
    if stream.time_base is None or container.format.name == "avi":
        return False
    if context.name == "hevc":
        return _num_temporal_layers(context.extradata or b"") == 1
    return context.name in SKIPPING_CODECS


def frames_on_display(
    packets: Iterator[Packet], stream: av.VideoStream, fps: float, from_s: float, origin_s: float | None
) -> Iterator[av.VideoFrame]:
    """Yield, in order, at least the decoded frames that are on display at k/fps seconds from `from_s` on, and the last one.

    Args:
        packets: Of the video stream.
        stream: The video stream, for which `can_skip` holds.
        fps: Sampling rate.
        from_s: First time wanted, seconds from time zero.
        origin_s: Time zero in seconds of the container's timeline; None for the first frame that is decoded.

    Raises:
        UnsafeError: when frames that are due may be missing from what was yielded.
    """
    context, tick_s = stream.codec_context, float(stream.time_base or 0)
    due: list[int] = []
    for packet, next_pts in _with_next(packets, tick_s):
        is_wanted = True
        if origin_s is not None and packet.pts is not None and next_pts is not None:
            start_s, stop_s = packet.pts * tick_s - origin_s, next_pts * tick_s - origin_s
            is_wanted = _holds_sample(max(start_s, from_s), stop_s, fps)
            if is_wanted and not packet.is_discard:
                heapq.heappush(due, packet.pts)
        if not is_wanted and context.codec.intra_only:
            continue
        context.skip_frame = "DEFAULT" if is_wanted else "NONREF"
        try:
            frames = packet.decode()
        except (av.error.FFmpegError, OSError):
            raise UnsafeError from None
        for frame in frames:
            assert isinstance(frame, av.VideoFrame)
            if frame.pts is None:
                raise UnsafeError
            origin_s = frame.pts * tick_s if origin_s is None else origin_s
            while due and due[0] <= frame.pts:
                if heapq.heappop(due) < frame.pts:
                    raise UnsafeError
            yield frame
    if due:
        raise UnsafeError


def _holds_sample(start_s: float, stop_s: float, fps: float) -> bool:
    """Return whether a sampling time may lie where this frame is on display; True when in doubt."""
    first = math.ceil((start_s - ROUNDING_S - SLACK_S) * fps)
    return first / fps <= stop_s - ROUNDING_S + SLACK_S


def _with_next(packets: Iterator[Packet], tick_s: float) -> Iterator[tuple[Packet, int | None]]:
    """Yield packets with the presentation time of the frame shown after theirs; None where it is not known.

    Frames are decoded no later than shown: a packet to be decoded at t says that no frame before t is still to come.
    """
    waiting: deque[Packet] = deque()
    known: list[int] = []
    latest: int | None = None
    while True:
        packet = _next_packet(packets)
        is_last = packet is None
        if packet is not None:
            waiting.append(packet)
            if not _flushes(packet):
                latest = _checked(packet, latest, tick_s)
                if not packet.is_discard:
                    bisect.insort(known, packet.pts or 0)
        while waiting:
            next_pts = _after(known, waiting[0].pts)
            is_sure = next_pts is not None and latest is not None and next_pts <= latest
            if not (is_sure or is_last or len(waiting) > LOOK_AHEAD):
                break
            if is_sure and next_pts is not None and waiting[0].pts is not None:
                _refuse_jump((next_pts - waiting[0].pts) * tick_s)
            yield waiting.popleft(), next_pts if is_sure or is_last else None
        if is_last:
            return
        del known[: bisect.bisect_left(known, min((p.dts for p in waiting if p.dts is not None), default=-math.inf))]


def _next_packet(packets: Iterator[Packet]) -> Packet | None:
    try:
        return next(packets, None)
    except (av.error.FFmpegError, OSError):
        raise UnsafeError from None


def _flushes(packet: Packet) -> bool:
    """Return whether this is the empty packet that asks the decoder for its last frames, and none of the file."""
    return packet.size == 0 and packet.pts is None and packet.dts is None


def _checked(packet: Packet, latest: int | None, tick_s: float) -> int | None:
    """Return the latest decoding time after this packet."""
    if packet.pts is None:
        raise UnsafeError
    if packet.dts is None:
        return latest
    if latest is not None:
        _refuse_jump((packet.dts - latest) * tick_s)
    return packet.dts


def _refuse_jump(advance_s: float) -> None:
    if not -ROUNDING_S <= advance_s <= MAX_GAP_S:
        raise UnsafeError


def _after(known: list[int], pts: int | None) -> int | None:
    if pts is None:
        return None
    place = bisect.bisect_right(known, pts)
    return known[place] if place < len(known) else None


def _num_temporal_layers(extradata: bytes) -> int:
    """Return how many temporal layers an HEVC stream's video parameter set names; 0 when there is none.

    With several, a frame that its own layer does not refer to may be referred to by a higher one.
    """
    place = extradata.find(b"\x40\x01", 23 if extradata[:1] == b"\x01" else 0)
    return 0 if place < 0 or place + 3 >= len(extradata) else 1 + (extradata[place + 3] >> 1 & 7)
