"""What every page consists of: a template, its style and scripts, and what it may load."""

import base64
import hashlib
from pathlib import Path
from typing import Final

import jinja2

HERE: Final = Path(__file__).parent


def template(name: str) -> jinja2.Template:
    """A template of this folder; what it lacks is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def inline(name: str) -> str:
    """The text of a style or script of this folder."""
    return (HERE / name).read_text(encoding="utf-8")


def policy(styles: list[str], scripts: list[str]) -> str:
    """What the page may load and run: nothing from elsewhere, and only these scripts and styles."""
    return (
        f"default-src 'none'; img-src data:; style-src {_hashes(styles)}; script-src {_hashes(scripts)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hashes(texts: list[str]) -> str:
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
