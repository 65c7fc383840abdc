"""Pictures in a page: each as a data URI, from the smaller of its PNG and SVG, within a size limit."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from analysis.report.captions import caption_of

ROOM: Final = 3_500_000
"""Bytes for all pictures of a page; base64 adds a third."""
SMALLEST: Final = 400
"""Width in pixels below which a picture is no longer legible."""


@dataclass(frozen=True)
class Figure:
    """A picture as embedded in a page."""

    name: str
    title: str
    caption: str
    source: str
    """A data URI."""


def figures(pictures: Sequence[Path]) -> list[Figure]:
    """The pictures (PNG files) for a page, at lower resolution if they would exceed their share of the room."""
    room = ROOM // max(len(pictures), 1)
    return [Figure(png.stem, *caption_of(png.stem), _embedded(png, room)) for png in pictures]


def _embedded(png: Path, room: int) -> str:
    """A data URI of the PNG, or of the SVG beside it if that is smaller."""
    svg = png.with_suffix(".svg")
    if svg.is_file() and svg.stat().st_size < min(png.stat().st_size, room):
        return _data_uri("image/svg+xml", svg.read_bytes())
    content = png.read_bytes()
    return _data_uri("image/png", content if len(content) <= room else _coarser(png, room))


def _coarser(png: Path, room: int) -> bytes:
    """The picture in 256 colours, shrunk by a quarter until it fits."""
    with Image.open(png) as opened:
        image = opened.convert("RGB")
    while True:
        stream = io.BytesIO()
        image.quantize(256).save(stream, "PNG", optimize=True)
        if stream.tell() <= room or image.width < SMALLEST:
            return stream.getvalue()
        image = image.resize((image.width * 3 // 4, image.height * 3 // 4), Image.Resampling.LANCZOS)


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
