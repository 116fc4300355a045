"""Floating-point operations of training a ResNet: those of its convolutions, counted from their shapes."""

from __future__ import annotations

from jaxdc.nn.resnet import BLOCKS, STEMS


def convolution_macs(depth, side, *, stem="cifar", width=64, channels=3):
    """Multiply-adds of each convolution's forward pass on one image, the stem's first."""
    size, stride = STEMS[stem]
    side = -(-side // stride)
    macs = [side**2 * size**2 * channels * width]
    if stem != "cifar":
        side = side // 2 + 1 if stem == "stl" else -(-side // 2)
    n = width
    for stage, n_blocks in enumerate(BLOCKS[depth]):
        m = width * 2**stage
        for i in range(n_blocks):
            before, side = side, -(-side // 2) if stage > 0 and i == 0 else side
            n_out = 4 * m if depth >= 50 else m
            if depth >= 50:
                macs += [before**2 * n * m, side**2 * 9 * m * m, side**2 * m * n_out]
            else:
                macs += [side**2 * 9 * n * m, side**2 * 9 * m * m]
            if before != side or n != n_out:
                macs.append(side**2 * n * n_out)
            n = n_out
    return macs


def step_operations(method, depth, side, *, stem="cifar", width=64, channels=3):
    """Operations a step spends on one sample: forward, and backward twice that, for each of its views.

    Nobody asks for the gradient of the images. MoCo's second view goes forward alone. Heads, losses, norms and
    augmentation are left out: all together they are below a hundredth of it.
    """
    macs = convolution_macs(depth, side, stem=stem, width=width, channels=channels)
    forward, trained = sum(macs), 3 * sum(macs) - macs[0]
    return 2 * {"simclr": 2 * trained, "cc": 2 * trained, "idfd": trained, "moco": trained + forward}[method]
