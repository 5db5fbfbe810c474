"""The compact encoder of safire-lite: forensic traces at the image's own resolution.

SAFIRE's ViT sees a picture squashed to 1024 x 1024, which wipes out much of what tells sources
apart (sensor noise, demosaicing and JPEG grids live at single pixels). This encoder never resizes.
Fixed and learned high-pass residuals enter a small residual network; beside it run two measurements
that convolutions learn slowly, the local residual energy and the strength of each phase of the
8 x 8 JPEG grid; at stride 16 a few transformer blocks compare every place with every other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from napari_safire.model.linear import linear

if TYPE_CHECKING:
    from napari_safire.model.config import ModelConfig

# Second differences along rows, columns and diagonals, and the 5 x 5 kernel of the Spatial Rich
# Model (Fridrich and Kodovsky 2012, "KV"): each is blind to smooth content.
_RESIDUAL_KERNELS = (
    ((0, 0, 0, 0, 0), (0, 0, 0, 0, 0), (0, 1, -2, 1, 0), (0, 0, 0, 0, 0), (0, 0, 0, 0, 0)),
    ((0, 0, 0, 0, 0), (0, 0, 1, 0, 0), (0, 0, -2, 0, 0), (0, 0, 1, 0, 0), (0, 0, 0, 0, 0)),
    ((0, 0, 0, 0, 0), (0, 1, -2, 1, 0), (0, -2, 4, -2, 0), (0, 1, -2, 1, 0), (0, 0, 0, 0, 0)),
    (
        (-1, 2, -2, 2, -1),
        (2, -6, 8, -6, 2),
        (-2, 8, -12, 8, -2),
        (2, -6, 8, -6, 2),
        (-1, 2, -2, 2, -1),
    ),
)
_KERNEL_GAINS = (1 / 2, 1 / 2, 1 / 4, 1 / 12)
_LEARNED_FILTERS = 8
_JPEG_BLOCK = 8
_STRIDE = 16
_LAST = torch.channels_last
_STRIP_PIXELS = 2**16  # of a strip of the front end on a CPU; measured in docs/lab-notes.md


class LiteEncoder(nn.Module):
    """Native-resolution encoder, stride 16.

    Parameters
    ----------
    config : ModelConfig
        Uses ``stage_widths`` (channels at strides 2, 4, 8 and 16), ``depth`` and ``num_heads`` of
        the transformer blocks, ``mlp_ratio`` and ``prompt_dim``.
    """

    residual_kernels: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = config.stage_widths
        # By NumPy: a product or a repetition on the meta device, where a file's model is outlined,
        # would import PyTorch's compiler or sympy.
        gains = np.asarray(_KERNEL_GAINS, np.float32)[:, None, None]
        kernels = np.asarray(_RESIDUAL_KERNELS, np.float32) * gains
        self.register_buffer(
            "residual_kernels", torch.tensor(np.tile(kernels[:, None], (3, 1, 1, 1)))
        )
        n_residuals = 3 * len(_RESIDUAL_KERNELS)
        self.learned_kernels = nn.Parameter(torch.randn(_LEARNED_FILTERS, 3, 5, 5).mul_(0.1))
        self.stem = _ConvNorm(4 * (n_residuals + _LEARNED_FILTERS) + 3, half)
        self.stage2 = ResidualBlock(half)
        self.down4 = _ConvNorm(half, quarter, stride=2)
        self.stage4 = nn.Sequential(ResidualBlock(quarter), ResidualBlock(quarter))
        self.down8 = _ConvNorm(quarter, eighth, stride=2)
        self.statistics = nn.Sequential(
            nn.BatchNorm2d(2 * (n_residuals + 2 * _JPEG_BLOCK)),
            nn.Conv2d(2 * (n_residuals + 2 * _JPEG_BLOCK), eighth, 1),
        )
        self.stage8 = nn.Sequential(ResidualBlock(eighth), ResidualBlock(eighth))
        self.down16 = nn.Conv2d(eighth, sixteenth, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(
            ComparisonBlock(sixteenth, config.num_heads, config.mlp_ratio)
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(sixteenth)
        self.neck = nn.Linear(sixteenth, config.prompt_dim)

    def forward(self, pixels: Tensor, before_block: Callable[[int], None] | None = None) -> Tensor:
        """Encode (B, 3, H, W) pixels in 0..255, H and W multiples of 16, to (B, C, H/16, W/16)."""
        # Traces are a grey level or less beside values of up to 255: the front end keeps float32
        # whatever precision the caller allows the rest.
        learns = torch.is_grad_enabled() and self.learned_kernels.requires_grad
        with torch.autocast(pixels.device.type, enabled=False):
            with torch.set_grad_enabled(learns):  # without gradients it works in strips
                traces, energies = self._traces(pixels.float())
            measured = self.statistics(_beside_surroundings(energies))
        x = self.stem(traces)
        x = self.stage4(self.down4(self.stage2(x)))
        x = self.stage8(F.relu(self.down8(x) + measured))
        x = self.down16(x)  # (B, D, H/16, W/16)
        for number, block in enumerate(self.blocks, start=1):
            if before_block is not None:
                before_block(number)
            x = block(x)
        x = self.neck(self.norm(x.permute(0, 2, 3, 1)))
        return x.permute(0, 3, 1, 2)

    def start_block_as_identity(self, index: int) -> None:
        """Let a transformer block pass its input on unchanged until it has learned something."""
        block = cast(ComparisonBlock, self.blocks[index])
        for last in (block.proj, block.reduce):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def _traces(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the network sees, (B, 4 * 20 + 3, H/2, W/2), and `_block_energies`.

        On a CPU a strip of rows goes through all steps before the next one: the residuals of a
        picture, twenty planes of its own size, would be written and read again between steps.
        """
        kernels = self._kernels()
        # Channels last in memory: convolutions on a CPU take half the time.
        padded = F.pad(pixels, (2, 2, 2, 2), mode="reflect").contiguous(memory_format=_LAST)
        rows = _strip_rows(pixels)
        traces, energies = [], []
        for top in range(0, pixels.shape[2], rows):
            fine = F.conv2d(padded[:, :, top : top + rows + 4], kernels)  # (B, 12 + 8, rows, W)
            energies.append(_block_energies(fine[:, : len(self.residual_kernels)]))
            colour = F.avg_pool2d((pixels[:, :, top : top + rows] - 128) / 64, 2)
            fine = F.pixel_unshuffle(_compress(fine), 2).contiguous(memory_format=_LAST)
            traces.append(torch.cat([fine, colour.contiguous(memory_format=_LAST)], dim=1))
        return torch.cat(traces, dim=2), torch.cat(energies, dim=2)

    def _kernels(self) -> Tensor:
        """Fixed kernels for each colour, then learned ones for all three: (12 + 8, 3, 5, 5)."""
        # A fixed kernel looks at one colour. With zeros for the others it joins the learned ones:
        # one pass over the picture is cheaper than two.
        device = self.learned_kernels.device
        colour = torch.eye(3, device=device).repeat_interleave(len(_RESIDUAL_KERNELS), 0)
        fixed = colour[:, :, None, None] * self.residual_kernels
        # Kernels that sum to zero over space stay high-pass filters whatever they learn
        # (after the constrained convolution of Bayar and Stamm 2018).
        learned = self.learned_kernels - self.learned_kernels.mean(dim=(2, 3), keepdim=True)
        return torch.cat([fixed, learned])


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm around a skip; (B, C, H, W) to the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _ConvNorm(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, C, h, w)."""
        return F.relu(x + _convolve(self.second, self.norm, self.first(x)))


class ComparisonBlock(nn.Module):
    """A transformer block over all patches of the picture.

    Attention has no position encoding: whether two patches share a source does not depend on where
    they lie. Neighbourhood enters through a depth-wise convolution in the MLP.
    """

    def __init__(self, channels: int, num_heads: int, mlp_ratio: float) -> None:
        super().__init__()
        hidden = int(channels * mlp_ratio)
        self.num_heads = num_heads
        self.norm1 = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, hidden)
        self.local = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.reduce = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, C, h, w)."""
        batch, channels, height, width = x.shape
        # Channels last in memory from here on: what changes between patches and grid are views.
        patches = x.permute(0, 2, 3, 1).reshape(batch, height * width, channels)
        attended = self._attend(self.norm1(patches))
        patches = patches + linear(attended, self.proj.weight, self.proj.bias)
        wide = linear(self.norm2(patches), self.expand.weight, self.expand.bias)  # (B, h*w, hidden)
        grid = wide.view(batch, height, width, -1).permute(0, 3, 1, 2)
        wide = (grid + self.local(grid)).permute(0, 2, 3, 1).reshape(wide.shape)
        patches = patches + linear(F.gelu(wide), self.reduce.weight, self.reduce.bias)
        return patches.view(batch, height, width, channels).permute(0, 3, 1, 2)

    def _attend(self, patches: Tensor) -> Tensor:
        batch, count, channels = patches.shape
        query, key, value = (
            linear(patches, self.qkv.weight, self.qkv.bias)
            .view(batch, count, 3, self.num_heads, -1)
            .permute(2, 0, 3, 1, 4)
        )
        # Entropy of a softmax grows with log(count); scaling by it keeps attention as sharp on a
        # whole picture as on the small crops of training (256 patches).
        scale = math.log(max(count, 2)) / math.log(256)
        out = F.scaled_dot_product_attention(query * scale, key, value)
        return out.transpose(1, 2).reshape(batch, count, channels)


class _ConvNorm(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        convolution, norm, activation = self
        result: Tensor = activation(_convolve(convolution, norm, x))
        return result


def _convolve(convolution: Any, norm: Any, x: Tensor) -> Tensor:
    """Convolution and batch norm: one step where the statistics are fixed."""
    if norm.training or torch.is_grad_enabled():
        result: Tensor = norm(convolution(x))
        return result
    weight, bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    return F.conv2d(x, weight, bias, convolution.stride, convolution.padding)


def _compress(residuals: Tensor) -> Tensor:
    """Soft clipping: weak traces keep their size, strong edges do not drown them."""
    return torch.tanh(residuals / 6)


def _strip_rows(pixels: Tensor) -> int:
    """Rows that go through the front end together: all, but on a CPU what its cache holds."""
    _, _, height, width = pixels.shape
    if pixels.device.type != "cpu" or torch.is_grad_enabled():
        return height
    return max(1, _STRIP_PIXELS // (width * _STRIDE)) * _STRIDE


def _block_energies(residuals: Tensor) -> Tensor:
    """Energies of 8 x 8 blocks.

    Parameters
    ----------
    residuals : (B, R, H, W)

    Returns
    -------
    (B, R + 16, H/8, W/8)
        R residual energies, then of eight column phases and eight row phases of the blocking
        grid (squared mean absolute second difference at each offset within the block).
    """
    energy = F.avg_pool2d(residuals.square(), _JPEG_BLOCK)
    # Luma residuals across columns and across rows, from the first two kernels.
    weights = residuals.new_tensor((0.299, 0.587, 0.114))[None, :, None, None]
    per_colour = residuals.shape[1] // 3
    across = [(residuals[:, i::per_colour] * weights).sum(1, keepdim=True).abs() for i in (0, 1)]
    batch, _, height, width = residuals.shape
    tall, wide = height // _JPEG_BLOCK, width // _JPEG_BLOCK
    columns = across[0].view(batch, tall, _JPEG_BLOCK, wide, _JPEG_BLOCK).mean(2)
    rows = across[1].view(batch, tall, _JPEG_BLOCK, wide, _JPEG_BLOCK).mean(4)
    columns, rows = columns.permute(0, 3, 1, 2), rows.permute(0, 2, 1, 3)  # (B, 8, H/8, W/8)
    return torch.cat([energy, torch.cat([columns, rows], dim=1).square()], dim=1)


def _beside_surroundings(energies: Tensor) -> Tensor:
    """Log energies (B, E, h, w), each beside its mean over the 3 x 3 around: (B, 2 E, h, w)."""
    around = F.avg_pool2d(energies, 3, stride=1, padding=1, count_include_pad=False)
    return torch.log(torch.cat([energies, around], dim=1) + 0.05)
