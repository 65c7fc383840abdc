"""The style of all pictures, for print and colour-blind readers, and how they are saved."""

from pathlib import Path
from typing import Any, Final

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from PIL import Image

from ichtune.files import replacing

WIDTH: Final = 7.0
"""A page's text width in inches, at which all fonts have at least 8 points."""
DPI: Final = 150
COLOURS: Final = 128
"""Colours of a PNG, which make it a third as large as full colour."""
SVG_DPI: Final = 110
"""Resolution of the rasterized parts of an SVG."""
DENSE: Final = 150
"""With more trials than this, markers are rasterized in an SVG, which would be large otherwise."""

# Okabe and Ito (2008), "Color Universal Design".
BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, BLACK = "#CC79A7", "#56B4E9", "#000000"
GREY, PALE = "0.45", "0.8"
LINES: Final = (
    (BLACK, "-"),
    (VERMILLION, "--"),
    (BLUE, "-."),
    (GREEN, (0, (5, 1, 1, 1, 1, 1))),
    (PURPLE, ":"),
)
"""Colours and dashes of lines that are distinguishable, in greyscale as well."""

_RC: Final[dict[Any, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "figure.titlesize": 9,
    "figure.facecolor": "white",
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "0.3",
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.5,
    "text.parse_math": False,  # a "$" in a name is a "$"
    "svg.fonttype": "path",  # looks the same everywhere
    "svg.hashsalt": "ichtune",  # identical pictures give identical files
}


def paper() -> Any:
    """Apply the style to a `with` block or a decorated function."""
    return matplotlib.rc_context(_RC)


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write `name`.png and `name`.svg; returns the files. The same figure gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    with paper():
        figure.set_dpi(DPI)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        figure.set_layout_engine("none")  # keeps the layout, and takes half the time
        with replacing(png) as file:
            _few_colours(np.asarray(canvas.buffer_rgba())).save(file, "png", dpi=(DPI, DPI))
        figure.set_dpi(SVG_DPI)
        with replacing(svg) as file:
            FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})
    return [png, svg]


def _few_colours(pixels: np.ndarray) -> Image.Image:
    """The picture with a palette in which the background, as in the corner, is pure white."""
    image = Image.fromarray(pixels).convert("RGB").quantize(COLOURS, Image.Quantize.FASTOCTREE)
    palette = np.array(image.getpalette()).reshape(-1, 3)
    palette[np.asarray(image)[0, 0]] = 255
    image.putpalette(palette.ravel().tolist())
    return image
