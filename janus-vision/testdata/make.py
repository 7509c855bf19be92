"""Writes the pictures of this folder and what Pillow 12.0.0 makes of them.

    pip install pillow==12.0.0 numpy && python make.py

`decode/NAME.expected.png` is `Image.open(NAME).convert("RGB")`: the official loader.
`transformers/NAME.expected.png` is NAME resized to 64 pixels with rounded sides and padded.
"""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
WIDTH, HEIGHT = 23, 19
random = np.random.default_rng(0)


def png(color_type, depth, channels, chunks=(), interlaced=False):
    """A PNG file of random samples; Pillow cannot write most of the kinds."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    def rows(width, height):
        size = (width * channels * depth + 7) // 8
        return b"".join(b"\0" + random.bytes(size) for _ in range(height)) if width else b""

    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    if interlaced:
        data = b"".join(rows(-((x - WIDTH) // dx), -((y - HEIGHT) // dy)) for x, y, dx, dy in passes)
    else:
        data = rows(WIDTH, HEIGHT)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, color_type, 0, 0, interlaced)
    body = b"".join(chunk(name, data) for name, data in chunks)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body
            + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))


def photo(width, height):
    """Smooth colours and noise."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [100 * np.sin(x / 7 + y / 13), 90 * np.cos(x / 5 - y / 9), 80 * np.sin(x * y / 90)]
    noise = random.normal(0, 12, (height, width, 3))
    return Image.fromarray(np.clip(128 + np.stack(waves, -1) + noise, 0, 255).astype(np.uint8))


def write_decode(folder):
    palette = random.bytes(768)
    gamma = [(b"gAMA", struct.pack(">I", 100000))]
    for name, file in {
        "gray1": png(0, 1, 1),
        "gray4-transparent": png(0, 4, 1, [(b"tRNS", b"\0\5")]),
        "gray-alpha8": png(4, 8, 2),
        "gray-alpha16": png(4, 16, 2),
        "rgb8-gamma": png(2, 8, 3, gamma),
        "rgb8-interlaced": png(2, 8, 3, interlaced=True),
        "rgb16": png(2, 16, 3),
        "rgba16": png(6, 16, 4),
        "palette4": png(3, 4, 1, [(b"PLTE", palette[:48])]),
        "palette8-transparent": png(3, 8, 1, [(b"PLTE", palette), (b"tRNS", bytes(range(256)))]),
    }.items():
        (folder / f"{name}.png").write_bytes(file)

    small, large = photo(WIDTH, HEIGHT), photo(67, 45)
    orientation = Image.Exif()
    orientation[0x0112] = 6
    small.convert("L").save(folder / "gray.jpg", quality=90)
    small.convert("CMYK").save(folder / "cmyk.jpg", quality=90)
    large.save(folder / "420-progressive.jpg", quality=90, progressive=True)
    large.save(folder / "420-restart.jpg", quality=75, restart_marker_blocks=3)
    large.save(folder / "422.jpg", quality=90, subsampling=1)
    large.save(folder / "444-rotated.jpg", quality=90, subsampling=0, exif=orientation)

    transparent = large.copy()
    transparent.putalpha(Image.fromarray(random.integers(0, 256, (45, 67)).astype(np.uint8)))
    large.save(folder / "lossy.webp", quality=80)
    small.save(folder / "lossless.webp", lossless=True)
    transparent.save(folder / "lossy-transparent.webp", quality=80)
    small.save(folder / "animated.webp", save_all=True, append_images=[small.rotate(90)], lossless=True)

    for path in sorted(folder.iterdir()):
        Image.open(path).convert("RGB").save(path.with_suffix(path.suffix + ".expected.png"))


def write_transformers(folder):
    for width, height in [(128, 61), (128, 63), (34, 50)]:
        picture = photo(width, height)
        sides = [max(round(side * (64 / max(width, height))), 14) for side in (width, height)]
        square = Image.new("RGB", (64, 64), (127, 127, 127))
        resized = picture.resize(sides, Image.BICUBIC)
        square.paste(resized, tuple((64 - side) // 2 for side in sides))
        picture.save(folder / f"{width}x{height}.png")
        square.save(folder / f"{width}x{height}.png.expected.png")


for name, write in {"decode": write_decode, "transformers": write_transformers}.items():
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    write(folder)
