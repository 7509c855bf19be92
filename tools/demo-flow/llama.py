"""The language model: a Llama under the names of the released checkpoints, with a mask of any form.

Training packs several continuations of one beginning into a row; the mask says who sees whom, and positions restart
behind the beginning. Each continuation is so computed exactly as if it stood alone.
"""

import torch
from torch import nn
from torch.nn import functional as F


class RMSNorm(nn.Module):
    def __init__(self, width, eps=1e-6):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


def linear(before, after):
    return nn.Linear(before, after, bias=False)


class Layer(nn.Module):
    def __init__(self, width, heads, intermediate):
        super().__init__()
        self.heads = heads
        self.self_attn = nn.ModuleDict({f"{name}_proj": linear(width, width) for name in "qkvo"})
        self.mlp = nn.ModuleDict({"gate_proj": linear(width, intermediate), "up_proj": linear(width, intermediate),
                                  "down_proj": linear(intermediate, width)})
        self.input_layernorm, self.post_attention_layernorm = RMSNorm(width), RMSNorm(width)

    def attend(self, x, angles, mask):
        n, length, width = x.shape
        q, k, v = (self.self_attn[f"{name}_proj"](x).view(n, length, self.heads, -1).transpose(1, 2)
                   for name in "qkv")
        h = F.scaled_dot_product_attention(rotated(q, angles), rotated(k, angles), v, attn_mask=mask)
        return self.self_attn["o_proj"](h.transpose(1, 2).reshape(n, length, width))

    def forward(self, x, angles, mask):
        x = x + self.attend(self.input_layernorm(x), angles, mask)
        h = self.post_attention_layernorm(x)
        return x + self.mlp["down_proj"](F.silu(self.mlp["gate_proj"](h)) * self.mlp["up_proj"](h))


def rotated(x, angles):
    """Rotary positions, in halves."""
    cos, sin = angles
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-b, a], dim=-1) * sin


class Decoder(nn.Module):
    def __init__(self, vocabulary, width, layers, heads, intermediate):
        super().__init__()
        self.embed_tokens = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleList([Layer(width, heads, intermediate) for _ in range(layers)])
        self.norm = RMSNorm(width)
        frequencies = 10000.0 ** (-torch.arange(0, width // heads, 2) / (width // heads))
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, x, positions, mask, tap=None):
        """Hidden states [n, length, width] after the last norm, and those after `tap` layers.

        `mask [n, 1, length, length]` is added to the scores of attention.
        """
        angle = (positions[:, None, :, None] * self.frequencies).repeat(1, 1, 1, 2)
        angles, tapped = (angle.cos(), angle.sin()), None
        for i, layer in enumerate(self.layers):
            x = layer(x, angles, mask)
            tapped = x if i + 1 == tap else tapped
        return self.norm(x), tapped


class LanguageModel(nn.Module):
    def __init__(self, vocabulary, width, layers, heads, intermediate):
        super().__init__()
        self.model = Decoder(vocabulary, width, layers, heads, intermediate)
        self.lm_head = linear(width, vocabulary)


def start(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
    with torch.no_grad():
        model.model.embed_tokens.weight.normal_(std=0.2)
        model.lm_head.weight.mul_(0.3)
