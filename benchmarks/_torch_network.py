"""The peer's network in PyTorch: the same layers under the same names as ``jaxdc.nn``."""

import itertools

import torch
from torch import nn

BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
STEMS = {"cifar": (3, 1), "stl": (3, 1), "imagenet": (7, 2)}


class ConvNorm(nn.Module):
    def __init__(self, n_in, n_out, size, stride):
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, size, stride, size // 2, bias=False)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        self.norm = nn.BatchNorm2d(n_out)

    def forward(self, x):
        return self.norm(self.conv(x))


class Block(nn.Module):
    def __init__(self, n_in, width, stride, bottleneck):
        super().__init__()
        n_out = 4 * width if bottleneck else width
        if bottleneck:
            shapes = [(n_in, width, 1, 1), (width, width, 3, stride), (width, n_out, 1, 1)]
        else:
            shapes = [(n_in, width, 3, stride), (width, width, 3, 1)]
        self.layers = nn.ModuleList(ConvNorm(*shape) for shape in shapes)
        self.shortcut = ConvNorm(n_in, n_out, 1, stride) if stride != 1 or n_in != n_out else nn.Identity()

    def forward(self, x):
        y = x
        for layer in self.layers[:-1]:
            y = torch.relu_(layer(y))
        return torch.relu_(self.layers[-1](y) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, depth, stem, width, channels=3):
        super().__init__()
        self.first = ConvNorm(channels, width, *STEMS[stem])
        pools = {"cifar": nn.Identity(), "stl": nn.MaxPool2d(2, 2, 1), "imagenet": nn.MaxPool2d(3, 2, 1)}
        self.pool = pools[stem]
        blocks, n = [], width
        for stage, n_blocks in enumerate(BLOCKS[depth]):
            for i in range(n_blocks):
                blocks.append(Block(n, width * 2**stage, 2 if stage > 0 and i == 0 else 1, depth >= 50))
                n = width * 2**stage * (4 if depth >= 50 else 1)
        self.blocks, self.n_features = nn.Sequential(*blocks), n

    def forward(self, x):
        x = self.pool(torch.relu_(self.first(x)))
        return self.blocks(x).float().mean((2, 3))


class Projection(nn.Module):
    """Linear layers with a ReLU between them, started as PyTorch starts them."""

    def __init__(self, *sizes):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = torch.relu_(layer(x))
        return self.layers[-1](x).float()


class Network(nn.Module):
    """An encoder, a projection to 128, and for CC a head of clusters; ``mixed`` computes in bfloat16."""

    def __init__(self, method, depth, stem, width, mixed, n_clusters=10):
        super().__init__()
        self.mixed = mixed
        self.encoder = ResNet(depth, stem, width)
        n = self.encoder.n_features
        self.projector = Projection(n, 128) if method == "idfd" else Projection(n, n, 128)
        if method == "cc":
            self.head = nn.ModuleDict({"mlp": Projection(n, n, n_clusters)})

    def forward(self, x):
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.mixed):
            features = self.encoder(x.contiguous(memory_format=torch.channels_last))
            logits = self.head["mlp"](features) if hasattr(self, "head") else None
            return self.projector(features), logits


def load(network, arrays, prefix):
    """Takes over jaxdc's parameters and statistics of that prefix; all of them, or it raises."""
    names = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
    state = {}
    for path, value in arrays.items():
        if path.startswith(f"{prefix}."):
            *module, last = path.split(".")[1:]
            name = ".".join([*module, names.get(last, last)])
            axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(value.ndim if last == "kernel" else 0)
            state[name] = torch.from_numpy(value if axes is None else value.transpose(axes).copy())
    missing, unexpected = network.load_state_dict(state, strict=False)
    if unexpected or any(not name.endswith("num_batches_tracked") for name in missing):
        raise ValueError(f"the networks differ: {missing} are missing, {unexpected} are unknown")
