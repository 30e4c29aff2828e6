"""Values of the source as text that no browser reads as anything else: they may come from anybody."""

from __future__ import annotations

import re

_LOOKALIKES = str.maketrans({"<": "\u2039", ">": "\u203a", "&": "\uff06", "\u2028": " ", "\u2029": " "})
"""What begins a tag or an entity in HTML, or ends a line in a script, and what stands for it on a page."""
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_DATA = re.compile(r"(<script>\s*var metric_)(.*?)(</script>)", re.DOTALL)
"""The script with the report's data. No value in it can end it, since values were made harmless before."""
_MARK = '<meta charset="UTF-8">'
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' file:; style-src 'unsafe-inline' file:; font-src data:; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)
"""What the page may do when it is opened as a file, with its shared scripts beside it: ask nothing of anybody."""


def harmless(text: str) -> str:
    """Return text with lookalikes in place of the characters that HTML and scripts read as their own.

    >>> harmless("</script><b>R&D")
    '‹/script›‹b›R＆D'
    """
    return text.translate(_LOOKALIKES)


def sealed(page: str) -> str:
    """Return a page of Evidently with its policy stated in it, and its data escaped once more.

    Raises ``ValueError`` for a page that has not the form that Evidently gives it, which would get no policy.
    """
    if page.count(_MARK) != 1 or len(_DATA.findall(page)) != 1:
        raise ValueError("Evidently's page has another form than expected")
    page = _DATA.sub(lambda part: part[1] + _escaped(part[2]) + part[3], page)
    return page.replace(_MARK, f'{_MARK}<meta http-equiv="Content-Security-Policy" content="{POLICY}">', 1)


def _escaped(script: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in script)
