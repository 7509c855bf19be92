"""The understanding encoder: SigLIP's vision transformer under the names of the released checkpoints."""

import math

import torch
from torch import nn
from torch.nn import functional as F

EPS = 1e-6


class VisionBlock(nn.Module):
    """x += proj(attention(norm1(x))); x += fc2(gelu(fc1(norm2(x))))"""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=EPS), nn.LayerNorm(width, eps=EPS)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x):
        n, places, width = x.shape
        qkv = self.attn["qkv"](self.norm1(x)).view(n, places, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, places, width)
        x = x + self.attn["proj"](h)
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class VisionTower(nn.Module):
    """Pictures [n, 3, h, w] in -1 .. 1 to features [n, places, width]."""

    def __init__(self, image_size, patch, width, layers, heads):
        super().__init__()
        side = image_size // patch
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, stride=patch)})
        self.pos_embed = nn.Parameter(0.5 * sine_cosine(side, width)[None])
        self.blocks = nn.ModuleList([VisionBlock(width, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(width, eps=EPS)

    def forward(self, pixels):
        x = self.patch_embed["proj"](pixels).flatten(2).transpose(1, 2) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


def sine_cosine(side, width):
    """Two-dimensional sine-cosine positions [side * side, width] to start from: a quarter of the width each."""
    frequencies = 10.0 ** (-torch.arange(width // 4) / (width // 4))
    row, column = torch.arange(side * side) // side, torch.arange(side * side) % side
    angles = [(place[:, None] + 1.0) * frequencies for place in (row, column)]
    return torch.cat([f(angle) for angle in angles for f in (torch.sin, torch.cos)], dim=1)


def start(tower):
    """Xavier instead of the usual start of linear layers: at these widths that nearly silences a layer."""
    for module in tower.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    patches = tower.patch_embed["proj"]
    nn.init.normal_(patches.weight, std=1 / math.sqrt(patches.weight[0].numel()))
    nn.init.zeros_(patches.bias)
