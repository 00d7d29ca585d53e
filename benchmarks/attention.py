"""What attention costs a speech encoder that learns on a processor: PyTorch's own and ours, forward and backward.

    python benchmarks/attention.py [--clips 32] [--steps 49] [--threads 1]

The sizes are wav2vec2-base's: 12 heads of 64, a tenth of the shares dropped. Milliseconds of processor time a block, the
fastest of ten. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time

import torch
from torch import Tensor, nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from veridical.machine import keep_large_blocks
from veridical.models.attention import attend

HEADS, WIDTH, DROPOUT = 12, 64, 0.1
ATTENTIONS = {"own": attend, "pytorch": sdpa_attention_forward}


def measure(name: str, given: list[Tensor], dropout: float) -> float:
    """Return the milliseconds of processor time of one forward and backward pass."""
    module = nn.Module().train()
    module.is_causal = False
    best = float("inf")
    for _ in range(10):
        began = time.process_time()
        out, _ = ATTENTIONS[name](module, *given, None, scaling=WIDTH**-0.5, dropout=dropout)
        torch.autograd.grad(out, given, torch.ones_like(out))
        best = min(best, time.process_time() - began)
    return 1000 * best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--steps", type=int, default=49)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    keep_large_blocks()
    torch.set_num_threads(options.threads)
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        shape = options.clips, options.steps, HEADS, WIDTH
        given = [torch.randn(shape, dtype=dtype).transpose(1, 2).requires_grad_(True) for _ in range(3)]
        for dropout in (DROPOUT, 0.0):
            for name in ATTENTIONS:
                milliseconds = measure(name, given, dropout)
                found[f"{name}_{str(dtype).removeprefix('torch.')}_dropout_{dropout:g}_ms"] = round(milliseconds, 2)
                print(f"{dtype}, dropout {dropout:g}, {name}: {milliseconds:.1f} ms")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
