"""Clips as rows of a table and back: frames as JPEG, audio as 16-bit samples, the rest as plain numbers.

T frames, S samples. The rows carry a few cheap figures besides (speech share, loudness, smallest detector score, size
of the face), so that clips can be chosen without decoding any.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import simplejpeg

from veridical.clips.clip import Clip
from veridical.clips.contents import CONTENTS, FLOW_STATISTICS, NUM_DENSE_LANDMARKS
from veridical.clips.settings import StoreSettings
from veridical.media import loudness_dbfs

PAYLOAD_COLUMNS = ("video_id", "start_s", "faces", "boxes", "landmarks", "detector_score", "samples", "speech")
PERSON = "person"
"""Column with the number of the person; stores of older releases lack it, and hold one person of each video."""
INDEX_COLUMNS = (
    "video_id", "start_s", "has_audio", "speech_share", "loudness_dbfs",
    "min_detector_score", "num_interpolated", "mean_box_size_px",
)  # fmt: skip


def clip_schema(settings: StoreSettings) -> pa.Schema:
    """Return the schema of the table `clips`; optional contents have a column where the settings ask for them."""
    num_frames = settings.num_frames
    optional = {
        "mouths": pa.list_(pa.binary()),
        "flow": pa.list_(pa.float32(), num_frames * len(FLOW_STATISTICS)),
        "dense_landmarks": pa.list_(pa.float32(), num_frames * NUM_DENSE_LANDMARKS * 2),
    }
    return pa.schema(
        [
            pa.field("video_id", pa.string(), nullable=False),
            pa.field("start_s", pa.float64(), nullable=False),
            pa.field("faces", pa.list_(pa.binary()), nullable=False),
            pa.field("boxes", pa.list_(pa.float32(), num_frames * 4), nullable=False),
            pa.field("landmarks", pa.list_(pa.float32(), num_frames * 10), nullable=False),
            pa.field("detector_score", pa.list_(pa.float32(), num_frames), nullable=False),
            pa.field("samples", pa.binary()),
            pa.field("speech", pa.binary()),
            pa.field("has_audio", pa.bool_(), nullable=False),
            pa.field("speech_share", pa.float32()),
            pa.field("loudness_dbfs", pa.float32()),
            pa.field("min_detector_score", pa.float32(), nullable=False),
            pa.field("num_interpolated", pa.int16(), nullable=False),
            pa.field("mean_box_size_px", pa.float32(), nullable=False),
            pa.field(PERSON, pa.int16()),
            *(pa.field(name, optional[name], nullable=False) for name in settings.contents),
        ]
    )


def encode_frames(frames: npt.NDArray[np.uint8], quality: int) -> list[bytes]:
    """Return (T, H, W, 3) RGB frames as T JPEG files with full chroma."""
    return [
        simplejpeg.encode_jpeg(np.ascontiguousarray(frame), quality=quality, colorspace="RGB", colorsubsampling="444")
        for frame in frames
    ]


def encode_grey(images: npt.NDArray[np.uint8], quality: int) -> list[bytes]:
    """Return (M, H, W) grey images as M JPEG files."""
    return [
        simplejpeg.encode_jpeg(np.ascontiguousarray(image[..., None]), quality=quality, colorspace="GRAY")
        for image in images
    ]


def decode_frames(files: Sequence[bytes]) -> npt.NDArray[np.uint8]:
    """Return T JPEG files of one size as (T, H, W, 3) RGB frames."""
    return _decoded(files, "RGB")


def decode_grey(files: Sequence[bytes]) -> npt.NDArray[np.uint8]:
    """Return M JPEG files of one size as (M, H, W) grey images."""
    return _decoded(files, "GRAY")[..., 0]


def _decoded(files: Sequence[bytes], colours: Literal["RGB", "GRAY"]) -> npt.NDArray[np.uint8]:
    first = simplejpeg.decode_jpeg(files[0], colorspace=colours)
    images = np.empty((len(files), *first.shape), dtype=np.uint8)
    images[0] = first
    for number in range(1, len(files)):
        simplejpeg.decode_jpeg(files[number], colorspace=colours, buffer=images[number])
    return images


@dataclass(frozen=True, eq=False)
class EncodedClip:
    """A clip whose frames are JPEG files; the other fields are those of `Clip`."""

    video_id: str
    start_s: float
    faces: tuple[bytes, ...]
    """T JPEG files."""
    boxes: npt.NDArray[np.float32]
    landmarks: npt.NDArray[np.float32]
    detector_score: npt.NDArray[np.float32]
    samples: npt.NDArray[np.int16] | None
    speech: npt.NDArray[np.bool_] | None
    mouths: tuple[bytes, ...] | None = None
    """M JPEG files."""
    flow: npt.NDArray[np.float32] | None = None
    dense_landmarks: npt.NDArray[np.float32] | None = None
    person: int = 1

    def decode(self) -> Clip:
        """Return the clip with its frames decoded."""
        return Clip(
            self.video_id,
            self.start_s,
            decode_frames(self.faces),
            self.boxes,
            self.landmarks,
            self.detector_score,
            self.samples,
            self.speech,
            None if self.mouths is None else decode_grey(self.mouths),
            self.flow,
            self.dense_landmarks,
            self.person,
        )


def encode_clips(clips: Sequence[Clip | EncodedClip], settings: StoreSettings) -> pa.Table:
    """Return clips as a table with the schema of the store.

    Raises:
        ValueError: when a clip is not what the settings say (frames, size, samples).
    """
    return pa.Table.from_pylist([_row(clip, settings) for clip in clips], schema=clip_schema(settings))


def _row(clip: Clip | EncodedClip, settings: StoreSettings) -> dict[str, object]:
    _check(clip, settings)
    faces = list(clip.faces) if isinstance(clip, EncodedClip) else encode_frames(clip.frames, settings.jpeg_quality)
    sides = clip.boxes[:, 2:] - clip.boxes[:, :2]
    return {
        "video_id": clip.video_id,
        "start_s": clip.start_s,
        "faces": faces,
        "boxes": clip.boxes.astype(np.float32).ravel(),
        "landmarks": clip.landmarks.astype(np.float32).ravel(),
        "detector_score": clip.detector_score.astype(np.float32),
        "samples": None if clip.samples is None else clip.samples.astype("<i2").tobytes(),
        "speech": None if clip.speech is None else clip.speech.astype(np.uint8).tobytes(),
        "has_audio": clip.samples is not None,
        "speech_share": None if clip.speech is None else float(clip.speech.mean()),
        "loudness_dbfs": None if clip.samples is None else loudness_dbfs(clip.samples),
        "min_detector_score": float(clip.detector_score.min()),
        "num_interpolated": int((clip.detector_score == 0).sum()),
        "mean_box_size_px": float(np.sqrt(np.clip(sides[:, 0] * sides[:, 1], 0, None)).mean()),
        PERSON: clip.person,
        **_contents_row(clip, settings),
    }


def _contents_row(clip: Clip | EncodedClip, settings: StoreSettings) -> dict[str, object]:
    """Return the columns of the optional contents that a clip has."""
    row: dict[str, object] = {}
    if isinstance(clip.mouths, np.ndarray):
        row["mouths"] = encode_grey(clip.mouths, settings.jpeg_quality)
    elif clip.mouths is not None:
        row["mouths"] = list(clip.mouths)
    if clip.flow is not None:
        row["flow"] = clip.flow.astype(np.float32).ravel()
    if clip.dense_landmarks is not None:
        row["dense_landmarks"] = clip.dense_landmarks.astype(np.float32).ravel()
    return row


def _check(clip: Clip | EncodedClip, settings: StoreSettings) -> None:
    held = tuple(name for name in CONTENTS if getattr(clip, name) is not None)
    if held != settings.contents:
        raise ValueError(f"{clip.video_id}: expected the optional contents {settings.contents}, got {held}")
    if clip.mouths is not None and len(clip.mouths) != settings.num_mouths:
        raise ValueError(f"{clip.video_id}: expected {settings.num_mouths} mouth crops, got {len(clip.mouths)}")
    if isinstance(clip, EncodedClip):
        if len(clip.faces) != settings.num_frames:
            raise ValueError(f"{clip.video_id}: expected {settings.num_frames} frames, got {len(clip.faces)}")
    elif clip.frames.shape != (expected := (settings.num_frames, settings.crop_size, settings.crop_size, 3)):
        raise ValueError(f"{clip.video_id}: frames must have shape {expected} in this store, got {clip.frames.shape}")
    if clip.samples is None or clip.speech is None:
        return
    if clip.samples.shape != (settings.num_samples,) or clip.speech.shape != (settings.num_speech_steps,):
        raise ValueError(
            f"{clip.video_id}: expected {settings.num_samples} samples and {settings.num_speech_steps} speech steps, "
            f"got {clip.samples.shape} and {clip.speech.shape}"
        )


def decode_clips(table: pa.Table) -> list[Clip]:
    """Return the rows of a table (at least PAYLOAD_COLUMNS) as clips with the optional contents it has, in row order."""
    columns = {name: table[name].combine_chunks() for name in PAYLOAD_COLUMNS}
    geometry = {name: _matrix(columns[name]) for name in ("boxes", "landmarks", "detector_score")}
    contents = _decoded_contents(table)
    people = table[PERSON].to_pylist() if PERSON in table.column_names else [1] * table.num_rows
    clips = []
    for row in range(table.num_rows):
        samples, speech = columns["samples"][row], columns["speech"][row]
        clips.append(
            Clip(
                video_id=columns["video_id"][row].as_py(),
                start_s=columns["start_s"][row].as_py(),
                frames=decode_frames(columns["faces"][row].as_py()),
                boxes=geometry["boxes"][row].reshape(-1, 4),
                landmarks=geometry["landmarks"][row].reshape(-1, 5, 2),
                detector_score=geometry["detector_score"][row],
                samples=np.frombuffer(samples.as_py(), dtype="<i2") if samples.is_valid else None,
                speech=np.frombuffer(speech.as_py(), dtype=np.uint8).astype(np.bool_) if speech.is_valid else None,
                **contents[row],
                person=people[row] or 1,
            )
        )
    return clips


def _decoded_contents(table: pa.Table) -> list[dict[str, Any]]:
    """Return the optional contents of each row that the table has columns of."""
    rows: list[dict[str, Any]] = [{} for _ in range(table.num_rows)]
    for name in (name for name in CONTENTS if name in table.column_names):
        column = table[name].combine_chunks()
        if name == "mouths":
            values: Any = [decode_grey(files) for files in column.to_pylist()]
        else:
            shape = (len(FLOW_STATISTICS),) if name == "flow" else (NUM_DENSE_LANDMARKS, 2)
            values = _matrix(column).reshape(len(rows), -1, *shape) if rows else []
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return rows


def _matrix(column: pa.FixedSizeListArray) -> npt.NDArray[np.float32]:
    matrix: npt.NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False)
    return matrix.reshape(len(column), column.type.list_size)


def content_digest(table: pa.Table) -> str:
    """Return 16 hex digits of the content of rows, optional contents too, whatever their order and their memory layout."""
    digests = []
    names = [*PAYLOAD_COLUMNS, *(name for name in (*CONTENTS, PERSON) if name in table.column_names)]
    for batch in table.select(names).to_batches(max_chunksize=16):
        digests += [_row_digest(values) for values in batch.to_pylist()]
    return hashlib.blake2b(b"".join(sorted(digests)), digest_size=8).hexdigest()


def _row_digest(values: dict[str, object]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for name, value in values.items():
        if name == PERSON and value in (None, 1):
            continue  # as in stores without the column
        parts = value if name in ("faces", "mouths") and isinstance(value, list) else [value]
        for part in parts:
            data = _plain_bytes(part)
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
    return digest.digest()


def _plain_bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    return b"null" if value is None else np.asarray(value, dtype="<f8").tobytes()
