"""The peer's views in PyTorch, batched on the device: crop, flip, colour jitter and grey, as ``augment.Weak``.

One difference, to the peer's advantage: the order of the four jitters is drawn once a batch, as Kornia does, so
that each is one pass over the pixels; jaxdc draws it for each image.
"""

import math
import random

import torch
import torch.nn.functional as F


def boxes(b, device, scale=(0.2, 1.0), ratio=(3 / 4, 4 / 3), tries=10):
    """Centres and sizes of crops, as shares of a square image: the first of ten draws that fits."""
    area = torch.empty(b, tries, device=device).uniform_(*scale)
    aspect = torch.empty(b, tries, device=device).uniform_(*map(math.log, ratio)).exp_()
    heights, widths = (area / aspect).sqrt(), (area * aspect).sqrt()
    fits = (heights <= 1) & (widths <= 1)
    first = fits.float().argmax(1, keepdim=True)
    fitting = fits.any(1)
    height = heights.gather(1, first).squeeze(1).where(fitting, 1.0)
    width = widths.gather(1, first).squeeze(1).where(fitting, 1.0)
    place = torch.rand(2, b, device=device)
    return place[0] * (1 - height) + height / 2, place[1] * (1 - width) + width / 2, height, width


def crop_and_flip(x, flip):
    b, _, side, _ = x.shape
    y, across, height, width = boxes(b, x.device)
    if flip:
        width = width * (torch.randint(0, 2, (b,), device=x.device) * 2 - 1)
    zero = torch.zeros_like(y)
    theta = torch.stack(
        [torch.stack([width, zero, 2 * across - 1], 1), torch.stack([zero, height, 2 * y - 1], 1)], 1
    )
    grid = F.affine_grid(theta, (b, 1, side, side), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def grey(x):
    return 0.299 * x[:, 0:1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:3]


def factor(x, amount):
    return torch.empty(len(x), 1, 1, 1, device=x.device).uniform_(max(0, 1 - amount), 1 + amount)


def brightness(x, amount):
    return (x * factor(x, amount)).clamp_(0, 1)


def contrast(x, amount):
    mean = grey(x).mean((1, 2, 3), keepdim=True)
    return torch.lerp(mean, x, factor(x, amount)).clamp_(0, 1)


def saturation(x, amount):
    return torch.lerp(grey(x).expand_as(x), x, factor(x, amount)).clamp_(0, 1)


def hue(x, amount):
    turn = torch.empty(len(x), 1, 1, device=x.device).uniform_(-amount, amount)
    red, green, blue = x.unbind(1)
    value, low = x.amax(1), x.amin(1)
    chroma = value - low
    inverse = 1 / chroma.where(chroma > 0, 1.0)
    sextant = torch.where(
        value == red,
        (green - blue) * inverse,
        torch.where(value == green, 2 + (blue - red) * inverse, 4 + (red - green) * inverse),
    )
    k = (sextant[:, None] + 6 * turn[:, None] + torch.tensor([5.0, 3.0, 1.0], device=x.device)[:, None, None]) % 6
    return value[:, None] - chroma[:, None] * torch.minimum(k, 4 - k).clamp_(0, 1)


def grey_some(x, probability):
    return grey(x).where(torch.rand(len(x), 1, 1, 1, device=x.device) < probability, x)


class Views:
    """Views of images [b, 3, h, w] within [0, 1].

    Args:
      method: IDFD neither flips nor turns the hue, and jitters every image.
      compiled: let ``torch.compile`` fuse each operation; their order changes from batch to batch.
    """

    def __init__(self, method, compiled):
        fuse = torch.compile if compiled else lambda function: function
        self.flip, self.probability = method != "idfd", 1.0 if method == "idfd" else 0.8
        self.crop, self.grey = fuse(crop_and_flip), fuse(grey_some)
        self.jitters = [(fuse(jitter), 0.4) for jitter in (brightness, contrast, saturation)]
        if method != "idfd":
            self.jitters.append((fuse(hue), 0.1))

    def __call__(self, x):
        x = y = self.crop(x, self.flip)
        for jitter, amount in random.sample(self.jitters, len(self.jitters)):
            y = jitter(y, amount)
        if self.probability < 1:
            y = y.where(torch.rand(len(x), 1, 1, 1, device=x.device) < self.probability, x)
        return self.grey(y, 0.2)
