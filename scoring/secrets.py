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
    r"\s*=\s*(?:'((?:[^'\\]|\\.)*)'|\{([^}]*)\}|((?:(?![\s&;]+[\w-]+\s*=).)+))",
    re.IGNORECASE | re.DOTALL,
)
"""A value with a telling name. One that is not quoted goes on to the next ``name=``, whatever is in it."""
_PASSWORD = re.compile(r"^[^:]*:(.+)$", re.DOTALL)
_LAST_PORT = 65_535
_PORT = re.compile(r"\d{1,5}(?=[/?#]|$)")
_CUTS = re.compile(r"[@/?#:&=;,+%\s\\'\"{}\[\]]|[^\x00-\x7f]")
"""Characters at which a driver cuts a password that is not encoded, so that it shows a part of it as a host, say."""


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
    """Return the secret parts of a URL or connection string, however it is written. ``whole`` is for one that is secret itself.

    >>> secrets_of("postgresql://reader:s3cret@host/shop"), secrets_of("host=x password='a b'")
    (['s3cret'], ['a b'])
    >>> secrets_of("postgresql://reader:left@right@host/shop")
    ['left@right', 'left', 'right', 'left@', 'right@']
    """
    texts = (url, unquote_plus(url))
    secrets = [value for text in texts for match in _NAMED.finditer(text) for value in match.groups() if value]
    scheme, mark, rest = url.partition("://")
    secrets += _of_authority(rest, scheme) if mark else _of_text(url)
    secrets += [part for secret in secrets for part in _parts(secret)]
    if whole:
        secrets += [url, *(part for part in re.split(r"[/:@?&=,]+", rest) if len(part) >= 8 and "." not in part)]
    return list(dict.fromkeys(filter(None, secrets)))


def _of_authority(rest: str, scheme: str) -> Iterator[str]:
    """Yield the password before the host, or what stands in its place in a URL that was written without an ``@``."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    before = next((end.rpartition("@")[0] for end in (authority, rest.partition("?")[0], rest) if "@" in end), "")
    if "@" in authority.partition(":")[0] and rest.count("@") > 1:  # the user is an address of e-mail
        after = rest.rpartition("@")[0].partition(":")[2]
        yield "" if _PORT.match(after) else after
    password = _PASSWORD.match(before)
    if password is not None:
        yield password.group(1)
        if (
            "@" in authority.partition(":")[0]
        ):  # the user is an address of e-mail, whose @ is not the one before the host
            yield rest.rpartition("@")[0].partition(":")[2]
    elif before and scheme.startswith("http") and "/" not in before:  # a token
        yield before
    elif not before and ":" in authority and not authority.startswith("["):
        after = rest.partition(":")[2]
        after = after.partition("?")[0] if "=" in after else after
        port = _PORT.match(after)
        if port is None or int(port[0]) > _LAST_PORT:
            yield from (after, re.split(r"[/#]", after)[0])


def _of_text(text: str) -> Iterator[str]:
    """Yield the password of a login that lacks the scheme: ``user:password``, with a host behind it or without."""
    before, at, _ = text.rpartition("@")
    password = re.match(r"^[^:=]*:(?!/[^:]*$)(.+)$", before if at else text, re.DOTALL)
    if password is not None and not _PORT.match(password.group(1)):
        yield from (password.group(1), password.group(1).partition(":")[2])


def _parts(secret: str) -> Iterator[str]:
    """Yield the parts into which a driver cuts a password that is not encoded. Short ones are telling before an ``@`` only."""
    parts = [part for text in dict.fromkeys((secret, unquote(secret))) for part in _CUTS.split(text)]
    if len(parts) > 1:
        yield from (part for part in parts if len(part) > SHORTEST and not (part.isdigit() and len(part) < _WORD))
        yield from (f"{part}@" for part in re.split(r"[@/?#:]", secret) if part and "@" in secret)


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
