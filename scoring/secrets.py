"""Takes secrets out of text. The settings register their secrets here, and each is found in every encoding."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, unquote, unquote_plus

MASK = "***"
SHORTEST = 3
"""Characters of the shortest secret that is masked. Raising it leaves short passwords in messages."""
_WORD = 6
"""Characters below which a secret is masked as a whole word only: ``postgres`` is no secret in ``postgresql``."""
_NAMED = re.compile(
    r"(?:^|[\s?&;,])[\w-]*(?:password|passwd|pwd|passphrase|secret|token|api_?key|access_?key(?:_?id)?|account_?key|signature|sig)"
    r"\s*=\s*(?:'((?:[^'\\]|\\.)*)'|\{([^}]*)\}|([^\s&;]+))",
    re.IGNORECASE,
)
_PASSWORD = re.compile(r"^[^:/?#@]*:(.+)$", re.DOTALL)

_TOKEN = re.compile(r"^([^:/?#@]+)@")


class Secrets:
    """The registered secrets, and the pattern that finds them in text."""

    def __init__(self) -> None:
        """Begin without secrets."""
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, values: Iterable[str]) -> None:
        """Register secrets. Each is masked as it is, percent-encoded, plus-encoded and as Python prints it."""
        fresh = {form for value in values for form in _encodings(value)} - self._forms
        if fresh:
            self._forms |= fresh
            longest_first = sorted(self._forms, key=lambda form: (-len(form), form))
            self._pattern = re.compile("|".join(map(_pattern_of, longest_first)), re.IGNORECASE)

    @property
    def forms(self) -> list[str]:
        """Return every form of every secret, for other libraries that mask."""
        return sorted(self._forms)

    def redact(self, text: str) -> str:
        """Return the text with every known secret masked."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)


SECRETS = Secrets()
"""The secrets of this process."""


def redact(text: str) -> str:
    """Return the text without any secret that the settings of this process hold."""
    return SECRETS.redact(text)


def secrets_of(url: str, whole: bool = False) -> list[str]:
    """Return the secret parts of a URL or connection string. ``whole`` is for a URL that is a secret itself.

    >>> secrets_of("postgresql://reader:s3cret@host/shop"), secrets_of("host=x password='a b'")
    (['s3cret'], ['a b'])
    """
    texts = (url, unquote_plus(url))
    secrets = [value for text in texts for match in _NAMED.finditer(text) for value in match.groups() if value]
    scheme, mark, rest = url.partition("://")
    if mark:
        secrets += _of_authority(rest)
        alone = _TOKEN.match(rest)
        secrets += [alone.group(1)] if alone and scheme.startswith("http") else []
    if whole:
        secrets += [url, *(part for part in re.split(r"[/:@?&=,]+", rest) if len(part) >= 8 and "." not in part)]
    return list(dict.fromkeys(secrets))


def _of_authority(rest: str) -> Iterator[str]:
    """Yield the password before the host, and the parts into which a driver cuts a password that is not encoded."""
    ends = (re.split(r"[/?#]", rest, maxsplit=1)[0], rest.partition("?")[0], rest)
    before = next((end.rpartition("@")[0] for end in ends if "@" in end), "")
    password = _PASSWORD.match(before)
    if password is None:
        return
    yield password.group(1)
    parts = re.split(r"[@/?#:]", password.group(1))
    if len(parts) > 1:
        yield from (part for part in parts if len(part) > SHORTEST)
        yield from (f"{part}@" for part in parts if part)


def _encodings(value: str) -> Iterator[str]:
    for plain in {value, unquote(value), unquote_plus(value)}:
        for form in (plain, quote(plain, safe=""), quote(plain), quote(plain, safe=" +"), quote_plus(plain)):
            yield from (text for text in (form, repr(form)[1:-1]) if len(text) >= SHORTEST)


def _pattern_of(form: str) -> str:
    """Return the expression that finds one form of a secret. Short forms and plain words match whole words only."""
    if len(form) >= _WORD and not form.isalpha():
        return re.escape(form)
    first = r"(?<!\w)" if form[0].isalnum() else ""
    last = r"(?!\w)" if form[-1].isalnum() else ""
    return f"{first}{re.escape(form)}{last}"
