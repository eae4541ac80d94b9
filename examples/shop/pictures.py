"""Product pictures: drawn once at the start, then really resized by the jobs."""

from __future__ import annotations

import colorsys
import math
import os
from pathlib import Path

from PIL import Image, ImageDraw

PRODUCTS = ("teapot", "lamp", "chair", "kite", "clock", "globe")
WIDTHS = (480, 120)
SOURCE_SIZE = (1200, 900)


def draw_products(folder: Path) -> None:
    """Draw one source picture for each product."""
    for index, product in enumerate(PRODUCTS):
        _draw(index / len(PRODUCTS), folder / f"{product}.jpg")


def resize_picture(source: Path, target: Path, width: int) -> tuple[int, int]:
    """Write a smaller copy, whole or not at all; return its size."""
    with Image.open(source) as picture:
        height = round(picture.height * width / picture.width)
        small = picture.resize((width, height), Image.Resampling.LANCZOS)
    # Two runs of the same job may overlap when a worker is taken for dead: each writes a file of its own, the last wins.
    fresh = target.with_suffix(f".{os.getpid()}")
    small.save(fresh, "JPEG", quality=85)
    fresh.replace(target)
    return small.size


def small_name(order: int, width: int) -> str:
    """Return the file name of an order's picture."""
    return f"order-{order}-{width}.jpg"


def resized(folder: Path) -> frozenset[tuple[int, int]]:
    """Return order and width of each finished picture, after a look at what is really inside."""
    found = set()
    for path in folder.glob("order-*.jpg"):
        order, width = (int(part) for part in path.stem.split("-")[1:])
        with Image.open(path) as picture:
            picture.verify()
            found.add((order, picture.width if picture.width == width else -1))
    return frozenset(found)


def count_resized(folder: Path) -> int:
    """Return how many finished pictures there are."""
    return sum(1 for _ in folder.glob("order-*.jpg"))


def _draw(hue: float, path: Path) -> None:
    picture = Image.radial_gradient("L").resize(SOURCE_SIZE)
    coloured = Image.merge("RGB", [picture.point(lambda v, k=k: int(k * (255 - v // 2))) for k in _colour(hue)])
    draw = ImageDraw.Draw(coloured)
    for step in range(24):
        angle = 2 * math.pi * (step / 24 + hue)
        x, y = 600 + 380 * math.cos(angle), 450 + 280 * math.sin(angle)
        draw.ellipse((x - 60, y - 60, x + 60, y + 60), outline="white", width=5)
    coloured.save(path, "JPEG", quality=92)


def _colour(hue: float) -> tuple[float, float, float]:
    return colorsys.hsv_to_rgb(hue, 0.6, 1.0)
