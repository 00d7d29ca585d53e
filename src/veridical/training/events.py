"""TensorBoard events of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class EventWriter:
    """Writes the numbers of each epoch; nothing is written before the first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer: Any = None

    def write(self, row: dict[str, Any], step: int) -> None:
        """Write every number of a history row under `<stage>/<name>`."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.folder))
        for name, value in row.items():
            if isinstance(value, dict):
                for key, number in value.items():
                    self._writer.add_scalar(f"{row['stage']}/{name}/{key}", number, step)
            elif isinstance(value, float):
                self._writer.add_scalar(f"{row['stage']}/{name}", value, step)

    def close(self) -> None:
        """Flush what is pending."""
        if self._writer is not None:
            self._writer.close()
