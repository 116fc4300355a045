"""The peer's half of ``losses.py``; runs in an environment that has torch.

    python benchmarks/_torch_nt_xent_peer.py BATCH WIDTH REPEATS

prints one line of JSON: the seconds of each repeat of NT-Xent's value and gradient, and the device.
"""

import json
import sys
import time

import torch
import torch.nn.functional as F


def nt_xent(z1, z2, temperature):
    z = F.normalize(torch.cat([z1, z2]))
    scores = z @ z.T / temperature
    scores.fill_diagonal_(-torch.inf)
    b = len(z1)
    target = torch.arange(2 * b, device=z.device).roll(b)
    return F.cross_entropy(scores, target)


def main(batch, width, repeats):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    z1, z2 = (torch.randn(batch, width, device=device, requires_grad=True) for _ in range(2))
    seconds = []
    for _ in range(repeats + 2):
        z1.grad = z2.grad = None
        start = time.perf_counter()
        nt_xent(z1, z2, 0.5).backward()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": seconds[2:], "device": device, "torch": torch.__version__}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
