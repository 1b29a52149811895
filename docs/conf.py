"""How Sphinx makes the site: `make site` calls it on the pages that `stage` wrote.

No page asks another host for anything: formulas become MathML here, the theme brings
its own fonts and scripts, and sliders are left to JupyterLab.
"""

import html
import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util.logging import getLogger

project = "Pruning Lab"
author = "the course's authors"
copyright = "the course's authors: text CC BY 4.0, code MIT"
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["README.md"]
smartquotes = False  # what stands in quotes is often to be typed

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "off"
nb_ipywidgets_js = {}
nb_merge_streams = True

autodoc_member_order = "groupwise"
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
add_module_names = False
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
default_role = "code"

html_theme = "sphinx_book_theme"
html_title = "Pruning Lab"
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_use_index = False
html_domain_indices = False
html_math_renderer = "mathml"
html_context = {"default_mode": "auto"}
html_theme_options = {
    "navbar_persistent": [],
    "use_download_button": False,
    "use_fullscreen_button": False,
    "footer_content_items": ["copyright.html"],
}

LOGGER = getLogger(__name__)
# Commands that docutils does not know, and what says the same.
PLAINER = {r"\\texttt\b": r"\\text", r"\\[bB]igg?[lr]?(?![a-zA-Z])": ""}
# Our docstrings say "name   what it is": two spaces or more.
ARGUMENT = re.compile(r"^(\w+(?:, \w+)*)  +(\S.*)$")


def mathml(translator, node: nodes.Node, block: bool) -> None:
    formula = node.astext()
    for command, plain in PLAINER.items():
        formula = re.sub(command, plain, formula)
    try:
        made = tex2mathml(formula, as_block=block).replace(r"\_", "_")
    except MathError as error:
        LOGGER.warning("%s: %s", node.astext(), error, location=node)
        made = f"<code>{html.escape(node.astext())}</code>"
    if block:  # it may be wide: the keyboard has to reach it in order to scroll it
        made = f'<div class="formula" tabindex="0">{made}</div>'
    translator.body.append(made)
    raise nodes.SkipNode


def list_arguments(app, what, name, obj, options, lines: list[str]) -> None:
    """Make a definition list of the arguments that a docstring explains in columns."""
    made, inside = [], False
    for line in lines:
        if found := ARGUMENT.match(line):
            made += ["", f"``{found[1]}``", f"    {found[2]}"]
            inside = True
        elif inside and line.startswith("  "):
            made.append(f"    {line.strip()}")
        else:
            made += ["", line] if inside else [line]
            inside = False
    lines[:] = made


def shorten_names(app, what, name, obj, options, signature, returned):
    """Write Callable for ~collections.abc.Callable, as dataclasses have it."""
    return signature and re.sub(r"~[\w.]*\.", "", signature), returned


def setup(app) -> None:
    app.add_html_math_renderer(
        "mathml",
        (lambda self, node: mathml(self, node, block=False), None),
        (lambda self, node: mathml(self, node, block=True), None),
    )
    app.connect("autodoc-process-docstring", list_arguments)
    app.connect("autodoc-process-signature", shorten_names)
