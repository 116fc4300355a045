"""The worker that trains in PyTorch; ``train_throughput.py`` starts it in an environment that has torch.

Written for this comparison, the way one would for speed: channels last, automatic mixed precision, a fused
optimizer, cuDNN's benchmark mode, TF32 for float32, data and augmentation on the device, both views in one batch.
"""

import copy
import math
import time

import numpy as np
import torch
import torch.nn.functional as F
from _torch_network import Network, load
from _torch_views import Views
from _worker import serve


def nt_xent(z1, z2, temperature):
    z = F.normalize(torch.cat([z1, z2]))
    scores = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
    return F.cross_entropy(scores, torch.arange(len(z), device=z.device).roll(len(z1)))


def simclr(network, average, x, memory, index):
    z, _ = network(x)
    return nt_xent(*z.chunk(2), 0.5), None


def cc(network, average, x, memory, index):
    z, logits = network(x)
    p1, p2 = logits.softmax(1).chunk(2)
    instances, clusters = nt_xent(*z.chunk(2), 0.5), nt_xent(p1.T, p2.T, 1.0)
    imbalance = 2 * math.log(p1.shape[1]) + sum((p.mean(0) * p.mean(0).log()).sum() for p in (p1, p2))
    return instances + clusters + imbalance, None


def idfd(network, average, x, memory, index):
    v = F.normalize(network(x)[0])
    instances = (v @ memory.T).logsumexp(1) - (v * memory[index]).sum(1)
    f = F.normalize(v, dim=0)
    features = f.T @ f / 2.0
    return instances.mean() + (features.logsumexp(1) - features.diagonal()).mean(), v.detach()


def moco(network, average, x, memory, index):
    query_view, key_view = x.chunk(2)
    with torch.no_grad():
        keys = F.normalize(average(key_view)[0])
    queries = F.normalize(network(query_view)[0]) / 0.2
    own = (queries * keys).sum(1, keepdim=True)
    return (torch.cat([own, queries @ memory.T], 1).logsumexp(1) - own[:, 0]).mean(), keys


LOSSES = {"simclr": simclr, "cc": cc, "idfd": idfd, "moco": moco}


class Training:
    """The same method, network, batch and optimizer as the worker of jaxdc, on noise."""

    def __init__(
        self, *, method, depth, stem, width, side, batch, dtype, samples, learning_rate, decay, compiled, **_
    ):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.method, self.batch, self.samples, self.dtype = method, batch, samples, getattr(torch, dtype)
        torch.manual_seed(0)
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
        network = Network(method, depth, stem, width, mixed=dtype == "bfloat16")
        self.network = network.to(self.device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False) if method == "moco" else None
        rows = {"idfd": samples, "moco": min(4096, samples)}.get(method)
        self.memory = F.normalize(torch.randn(rows, 128, device=self.device)) if rows else None
        weights = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim <= 1]
        groups = [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.SGD(groups, lr=learning_rate, momentum=0.9, fused=True)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, 100_000)
        self.loss = torch.compile(LOSSES[method]) if compiled else LOSSES[method]
        self.views = Views(method, compiled)
        shape = (samples, side, side, 3)
        self.x = torch.randint(0, 256, shape, dtype=torch.uint8, device=self.device)
        self.step, self.order = 0, None

    def about(self):
        """Where it trains."""
        on_gpu = self.device.type == "cuda"
        name = torch.cuda.get_device_name() if on_gpu else "cpu"
        return {"device": name, "torch": torch.__version__, "threads": torch.get_num_threads()}

    def _rows(self):
        """Rows of the next batch; a new order every epoch."""
        first = self.step % (self.samples // self.batch) * self.batch
        if first == 0 or self.order is None:
            self.order = torch.randperm(self.samples, device=self.device)
        return self.order[first : first + self.batch]

    def _views(self, rows):
        x = self.x[rows].permute(0, 3, 1, 2).float() / 255
        return self.views(x if self.method == "idfd" else torch.cat([x, x]))

    def _one(self):
        rows = self._rows()
        x = self._views(rows)
        self._follow()
        loss, new = self.loss(self.network, self.average, x, self.memory, rows)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self._remember(new, rows)
        self.step += 1
        return loss

    @torch.no_grad()
    def _follow(self):
        """The momentum encoder's step towards the network: parameters and statistics, as jaxdc's."""
        if self.average is not None:
            old, new = (
                [t for t in m.state_dict().values() if t.is_floating_point()] for m in (self.average, self.network)
            )
            torch._foreach_lerp_(old, new, 1 - 0.999)

    @torch.no_grad()
    def _remember(self, new, rows):
        if self.method == "idfd":
            self.memory[rows] = F.normalize(0.5 * self.memory[rows] + 0.5 * new)
        elif self.method == "moco":
            place = torch.arange(len(new), device=self.device) + self.step * self.batch
            self.memory[place % len(self.memory)] = new

    def _wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def _seconds_each(self, function, n):
        for _ in range(2):
            function()
        self._wait()
        start = time.perf_counter()
        for _ in range(n):
            function()
        self._wait()
        return (time.perf_counter() - start) / n

    def train(self, n):
        """Seconds of ``n`` steps: of the wall, and of all processors."""
        start, processor = time.perf_counter(), time.process_time()
        for _ in range(n):
            loss = self._one()
        self._wait()
        seconds, processor = time.perf_counter() - start, time.process_time() - processor
        return {"seconds": seconds, "processor": processor, "loss": loss.item()}

    def augmentation(self, n):
        """Seconds of one step's views alone."""
        rows = torch.arange(self.batch, device=self.device) % self.samples
        return self._seconds_each(lambda: self._views(rows), n)

    def matrix_rate(self):
        """Operations a second of a square matrix product in this dtype."""
        size, n = (8192, 50) if self.device.type == "cuda" else (2048, 10)
        a = torch.randn(size, size, device=self.device, dtype=self.dtype)
        return 2 * size**3 / self._seconds_each(lambda: a @ a, n)

    def peak_memory(self):
        """Bytes of a GPU at their peak; None on a CPU."""
        n_bytes = torch.cuda.max_memory_allocated() if self.device.type == "cuda" else None
        return {"bytes": n_bytes, "source": "torch.cuda"}

    def loss_of_saved(self, path):
        """Takes over the state that the other worker wrote; the loss of its images."""
        arrays = dict(np.load(path))
        load(self.network, arrays, "model")
        if self.average is not None:
            load(self.average, arrays, "momentum_encoder")
            self._follow()
        if self.memory is not None:
            name = "queue" if self.method == "moco" else "memory_bank"
            self.memory = torch.from_numpy(arrays[name]).to(self.device)
        x = torch.from_numpy(arrays["x"]).to(self.device).permute(0, 3, 1, 2)
        x = x if self.method == "idfd" else torch.cat([x, x])
        index = torch.from_numpy(arrays["index"]).long().to(self.device)
        with torch.no_grad():
            return LOSSES[self.method](self.network, self.average, x, self.memory, index)[0].item()


if __name__ == "__main__":
    serve(Training)
