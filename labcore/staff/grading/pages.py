"""The frame of every page that grading writes: one stylesheet, no script, no host."""

from __future__ import annotations

import functools
from html import escape
from importlib.resources import files

__all__ = ["document", "shared"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"


@functools.cache
def shared(name: str) -> str:
    """A file of `web/`, such as the stylesheet of all pages."""
    return (files(__package__) / "web" / name).read_text(encoding="utf-8")


def document(title: str, body: str, style: str = "") -> str:
    """A whole page around `body`, which is HTML; `style` adds to the stylesheet."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{escape(title)}</title>\n<style>\n{shared('style.css')}{style}</style>\n"
        f"</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
