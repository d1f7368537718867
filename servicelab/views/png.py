"""A PNG, written fast: for a picture that is made while somebody waits."""

import struct
import zlib

import numpy as np


def encode(rgba) -> bytes:
    """``rgba``, an array of height x width x 4 bytes, as a PNG without its transparency.

    The rows are stored unfiltered (filter type 0 of the PNG specification, https://www.w3.org/TR/png/) and compressed
    at level 1. For a chart of 900 x 360 pixels this takes half the time of an encoder that looks for the best
    filter of each row, and the file is no bigger.
    """
    pixels = np.asarray(rgba, dtype=np.uint8)
    height, width = pixels.shape[:2]
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # each row begins with its filter type
    rows[:, 1:] = pixels[:, :, :3].reshape(height, 3 * width)
    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)  # 8 bits a channel, colour type 2: RGB
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
