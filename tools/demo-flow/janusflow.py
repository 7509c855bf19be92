"""The model: JanusFlow under the names of the released checkpoint, at our sizes.

    generation encoder: latent [n, 4, 6, 6] and time -> time embedding, 9 positions of the language model, skip
    generation decoder: its 9 hidden states, skip and time embedding -> velocity [n, 4, 6, 6]
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

import llama
import vision
from llama import RMSNorm
from world import WORLD

MAX_PERIOD = 10_000.0
TIMESTEPS = 1000.0  # the encoder is told t * 1000


class ResponseNorm(nn.Module):
    """Global response norm of [n, places, c]: g_c = |u_c| over the places; u + beta + gamma * u * g / mean(g)."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.bias = nn.Parameter(torch.zeros(1, 1, 1, channels))

    def forward(self, u):
        g = u.square().sum(1, keepdim=True).add(1e-12).sqrt()
        n = g / (g.mean(-1, keepdim=True) + 1e-6)
        return self.bias[0] + (self.weight[0] * n + 1) * u


class ConvNeXt(nn.Module):
    """A ConvNeXt V2 block that is told the time."""

    def __init__(self, channels, width):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = RMSNorm(channels)
        self.channelwise_linear_1 = nn.Linear(channels, 4 * channels)
        self.channelwise_norm = ResponseNorm(4 * channels)
        self.channelwise_linear_2 = nn.Linear(4 * channels, channels)
        self.cond_embeds_mapper = nn.Linear(width, 2 * channels)

    def forward(self, x, time):
        u = self.norm(self.depthwise(x).flatten(2).transpose(1, 2))
        u = self.channelwise_norm(F.gelu(self.channelwise_linear_1(u)))
        x = x + self.channelwise_linear_2(u).transpose(1, 2).reshape(x.shape)
        scale, shift = self.cond_embeds_mapper(F.silu(time))[..., None, None].chunk(2, dim=1)
        return x * (1 + scale) + shift


class Middle(nn.Module):
    def __init__(self, channels, width, blocks):
        super().__init__()
        self.res_blocks = nn.ModuleList([ConvNeXt(channels, width) for _ in range(blocks)])

    def forward(self, x, time):
        for block in self.res_blocks:
            x = block(x, time)
        return x


class FlowEncoder(nn.Module):
    def __init__(self, latent, channels, width, blocks):
        super().__init__()
        self.time_embed = nn.ModuleDict(
            {"linear_1": nn.Linear(channels, width), "linear_2": nn.Linear(width, width)})
        self.in_conv = nn.Conv2d(latent, channels, 2, stride=2)
        self.mid_block = Middle(channels, width, blocks)
        frequencies = MAX_PERIOD ** (-torch.arange(channels // 2) / (channels // 2))
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, z, t):
        angles = (t * TIMESTEPS)[:, None] * self.frequencies
        waves = torch.cat([angles.cos(), angles.sin()], dim=1)
        time = self.time_embed["linear_2"](F.silu(self.time_embed["linear_1"](waves)))
        return self.mid_block(self.in_conv(z), time), time


class Output(nn.Module):
    def __init__(self, channels, latent):
        super().__init__()
        self.norm = RMSNorm(channels)
        self.unpatch_conv = nn.Conv2d(channels, 4 * latent, 1)

    def forward(self, x):
        h = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return F.pixel_shuffle(self.unpatch_conv(h), 2)


class FlowDecoder(nn.Module):
    def __init__(self, latent, channels, width, blocks):
        super().__init__()
        self.input_norm = RMSNorm(channels)
        self.mid_block = Middle(2 * channels, width, blocks)
        self.out_convs = nn.ModuleList([Output(2 * channels, latent)])

    def forward(self, h, skip, time):
        h = self.input_norm(h).transpose(1, 2).reshape(skip.shape)
        return self.out_convs[0](self.mid_block(torch.cat([h, skip], dim=1), time))


class JanusFlow(nn.Module):
    def __init__(self, config):
        super().__init__()
        v, l, f = config["vision"], config["language"], config["flow"]
        latent, width, channels = config["vae"]["latent_channels"], l["width"], f["channels"]
        tower = vision.VisionTower(WORLD["image_size"], v["patch"], v["width"], v["layers"], v["heads"])
        self.vision_und_enc_model = nn.ModuleDict({"vision_tower": tower})
        self.vision_und_enc_aligner = nn.Linear(v["width"], width)
        self.beg_of_und_embed = nn.Parameter(0.2 * torch.randn(1, width))
        self.vision_gen_enc_model = FlowEncoder(latent, channels, width, f["blocks"])
        self.vision_gen_enc_aligner = nn.Linear(channels, width)
        self.vision_gen_dec_aligner_norm = RMSNorm(width)
        self.vision_gen_dec_aligner = nn.Linear(width, channels)
        self.vision_gen_dec_model = FlowDecoder(latent, channels, width, f["blocks"])
        self.language_model = llama.LanguageModel(
            l["vocabulary"], width, l["layers"], l["heads"], l["intermediate"])

    @property
    def tower(self):
        return self.vision_und_enc_model["vision_tower"]

    def words(self, ids):
        return self.language_model.model.embed_tokens(ids)

    def seen(self, pixels):
        """What takes the place of the begin-of-image token and the placeholders: [n, 1 + places, width]."""
        features = self.vision_und_enc_aligner(self.tower(pixels))
        return torch.cat([self.beg_of_und_embed.expand(len(pixels), 1, -1), features], dim=1)

    def encoded(self, z, t):
        """Time and latent as positions [n, 1 + places, width]; skip and time for the decoder."""
        skip, time = self.vision_gen_enc_model(z, t)
        places = self.vision_gen_enc_aligner(skip.flatten(2).transpose(1, 2))
        return torch.cat([time[:, None], places], dim=1), skip, time

    def velocity(self, hidden, skip, time):
        """The velocity by the hidden states [n, places, width] of a latent's positions."""
        h = self.vision_gen_dec_aligner(self.vision_gen_dec_aligner_norm(hidden))
        return self.vision_gen_dec_model(h, skip, time)


def build(config):
    """A fresh model with seeded weights. Blocks of the flow start as identities, its output as zero."""
    torch.manual_seed(config["optimiser"]["seed"])
    model = JanusFlow(config)
    vision.start(model.tower)
    llama.start(model.language_model)
    for module in model.modules():
        if isinstance(module, ConvNeXt):
            nn.init.xavier_uniform_(module.channelwise_linear_1.weight)
            nn.init.normal_(module.depthwise.weight, std=1 / math.sqrt(module.depthwise.weight[0].numel()))
            for zero in (module.cond_embeds_mapper, module.channelwise_linear_2):
                nn.init.zeros_(zero.weight)
                nn.init.zeros_(zero.bias)
    unpatch = model.vision_gen_dec_model.out_convs[0].unpatch_conv
    nn.init.zeros_(unpatch.weight)
    nn.init.zeros_(unpatch.bias)
    return model
