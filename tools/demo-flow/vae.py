"""The variational autoencoder: the layout of the SDXL VAE (diffusers' `AutoencoderKL`), at our sizes.

    encoder: picture [n, 3, h, w] -> mean and log variance of the latent [n, 4, h/8, w/8]
    decoder: latent -> picture, in -1 .. 1
"""

import torch
from torch import nn
from torch.nn import functional as F

GROUPS, EPS = 32, 1e-6


def norm(channels):
    return nn.GroupNorm(GROUPS, channels, eps=EPS)


class ResnetBlock(nn.Module):
    """x + conv2(silu(norm2(conv1(silu(norm1(x))))))"""

    def __init__(self, before, after):
        super().__init__()
        self.norm1, self.conv1 = norm(before), nn.Conv2d(before, after, 3, padding=1)
        self.norm2, self.conv2 = norm(after), nn.Conv2d(after, after, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(before, after, 1) if before != after else None

    def forward(self, x):
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.conv_shortcut(x) if self.conv_shortcut else x)


class Attention(nn.Module):
    """x + to_out(softmax(q k^T / sqrt(c)) v), one head over all places of group_norm(x)."""

    def __init__(self, channels):
        super().__init__()
        self.group_norm = norm(channels)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, channels) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x):
        h = self.group_norm(x).flatten(2).transpose(1, 2)
        h = F.scaled_dot_product_attention(self.to_q(h), self.to_k(h), self.to_v(h))
        return x + self.to_out[0](h).transpose(1, 2).reshape(x.shape)


class Middle(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.resnets = nn.ModuleList([ResnetBlock(channels, channels) for _ in range(2)])
        self.attentions = nn.ModuleList([Attention(channels)])

    def forward(self, x):
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class Downsample(nn.Module):
    """Halves the sides; the padding is on the right and at the bottom only."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x):
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Doubles the sides: every pixel four times, then a convolution."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """Residual blocks and what follows them: `downsamplers`, `upsamplers` or nothing."""

    def __init__(self, before, after, blocks, name=None, sampler=None):
        super().__init__()
        self.resnets = nn.ModuleList(
            [ResnetBlock(before if i == 0 else after, after) for i in range(blocks)])
        if sampler:
            setattr(self, name, nn.ModuleList([sampler(after)]))
        self.sampler = name if sampler else None

    def forward(self, x):
        for block in self.resnets:
            x = block(x)
        return getattr(self, self.sampler)[0](x) if self.sampler else x


class Encoder(nn.Module):
    def __init__(self, channels, blocks, latent):
        super().__init__()
        last = len(channels) - 1
        self.conv_in = nn.Conv2d(3, channels[0], 3, padding=1)
        self.down_blocks = nn.ModuleList([
            Level(channels[max(i - 1, 0)], c, blocks, "downsamplers", Downsample if i < last else None)
            for i, c in enumerate(channels)])
        self.mid_block = Middle(channels[-1])
        self.conv_norm_out = norm(channels[-1])
        self.conv_out = nn.Conv2d(channels[-1], 2 * latent, 3, padding=1)

    def forward(self, x):
        x = self.conv_in(x)
        for level in self.down_blocks:
            x = level(x)
        return self.conv_out(F.silu(self.conv_norm_out(self.mid_block(x))))


class Decoder(nn.Module):
    def __init__(self, channels, blocks, latent):
        super().__init__()
        channels, last = channels[::-1], len(channels) - 1
        self.conv_in = nn.Conv2d(latent, channels[0], 3, padding=1)
        self.mid_block = Middle(channels[0])
        self.up_blocks = nn.ModuleList([
            Level(channels[max(i - 1, 0)], c, blocks + 1, "upsamplers", Upsample if i < last else None)
            for i, c in enumerate(channels)])
        self.conv_norm_out = norm(channels[-1])
        self.conv_out = nn.Conv2d(channels[-1], 3, 3, padding=1)

    def forward(self, x):
        x = self.mid_block(self.conv_in(x))
        for level in self.up_blocks:
            x = level(x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))


class AutoencoderKL(nn.Module):
    def __init__(self, channels, layers_per_block, latent_channels):
        super().__init__()
        self.encoder = Encoder(channels, layers_per_block, latent_channels)
        self.decoder = Decoder(channels, layers_per_block, latent_channels)
        self.quant_conv = nn.Conv2d(2 * latent_channels, 2 * latent_channels, 1)
        self.post_quant_conv = nn.Conv2d(latent_channels, latent_channels, 1)

    def encode(self, x):
        """Mean and log variance of the latent's normal distribution."""
        return self.quant_conv(self.encoder(x)).chunk(2, dim=1)

    def decode(self, z):
        return self.decoder(self.post_quant_conv(z))


def build_vae(config):
    """A fresh VAE with seeded weights."""
    torch.manual_seed(config["optimiser"]["seed"])
    settings = config["vae"]
    vae = AutoencoderKL(settings["channels"], settings["layers_per_block"], settings["latent_channels"])
    return vae.to(memory_format=torch.channels_last)
