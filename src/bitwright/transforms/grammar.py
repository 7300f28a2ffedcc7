"""The little language of transform lists: `name(arg=value, arg="a,b") name2 ...`, as transform_graph has it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from bitwright.errors import TransformError

#: A backslash at the end of a line is space: scripts break the list so inside the shell's quotes.
TOKENS = re.compile(
    r"""(?P<space>(?:\s|\\(?=\r?\n))+)|(?P<word>(?:[^\s(),="'\\]|\\(?!\r?\n))+)"""
    r"""|(?P<quoted>"[^"]*"|'[^']*')|(?P<sign>[(),=])"""
)


@dataclass(frozen=True)
class Call:
    """One transform that is asked for.

    Args:
        name: of the transform.
        arguments: every argument with its values in order; an argument may be given more than once.
        position: of the name in the text, from 0.
    """

    name: str
    arguments: dict[str, tuple[str, ...]] = field(default_factory=dict)
    position: int = 0

    @property
    def ignore_errors(self) -> bool:
        """Whether an error of this transform leaves the graph as it was, and the rest goes on."""
        return self.arguments.get("ignore_errors", ("false",))[-1].lower() in ("true", "1")


@dataclass(frozen=True)
class Token:
    """A word, a quoted text (without its quotes), a sign or the end, and where it starts."""

    kind: str
    text: str
    position: int


def parse_transforms(text: str) -> tuple[Call, ...]:
    """The calls of a list of transforms. White space or commas stand between them.

    Raises:
        TransformError: the text does not follow the grammar; it names the position.

    >>> parse_transforms('fold_constants(ignore_errors=true) sort_by_execution_order')[0].arguments
    {'ignore_errors': ('true',)}
    >>> parse_transforms('strip_unused_nodes(name=a, name="b,c")')[0].arguments
    {'name': ('a', 'b,c')}
    """
    tokens = list(tokenize(text))
    calls: list[Call] = []
    at = 0
    while tokens[at].kind != "end":
        if calls and tokens[at].text == "," and tokens[at].kind == "sign":
            at += 1
        name = expect(text, tokens[at], "word", "the name of a transform")
        at += 1
        arguments: dict[str, tuple[str, ...]] = {}
        if is_sign(tokens[at], "("):
            at += 1
            while not is_sign(tokens[at], ")"):
                key = expect(text, tokens[at], "word", "the name of an argument, or )")
                if not is_sign(tokens[at + 1], "="):
                    fail(text, tokens[at + 1], f"= behind {key.text!r}")
                value = tokens[at + 2]
                if value.kind not in ("word", "quoted"):
                    fail(text, value, f"a value for {key.text!r}")
                arguments[key.text] = (*arguments.get(key.text, ()), value.text)
                at += 3
                if is_sign(tokens[at], ","):
                    at += 1
                elif not is_sign(tokens[at], ")"):
                    fail(text, tokens[at], ", or )")
            at += 1
        calls.append(Call(name.text, arguments, name.position))
    return tuple(calls)


def tokenize(text: str) -> Iterator[Token]:
    """The tokens of a text, and three ends."""
    position = 0
    while position < len(text):
        match = TOKENS.match(text, position)
        if match is None:
            raise TransformError(
                "the list of transforms has a quote that is not closed",
                where=pointer(text, position),
                next="close it with the same quote",
            )
        kind = str(match.lastgroup)
        if kind != "space":
            yield Token(kind, match.group()[1:-1] if kind == "quoted" else match.group(), position)
        position = match.end()
    for _ in range(3):
        yield Token("end", "", len(text))


def is_sign(token: Token, sign: str) -> bool:
    """Whether the token is this sign, and not a quoted text that looks like it."""
    return token.kind == "sign" and token.text == sign


def expect(text: str, token: Token, kind: str, wanted: str) -> Token:
    """The token, when it is of the kind."""
    if token.kind != kind:
        fail(text, token, wanted)
    return token


def fail(text: str, token: Token, wanted: str) -> None:
    """Refuse the text.

    Raises:
        TransformError: always.
    """
    found = "the end" if token.kind == "end" else repr(token.text)
    raise TransformError(
        f"the list of transforms cannot be read: expected {wanted}, found {found}",
        where=pointer(text, token.position),
        next="""write it like: fold_constants(ignore_errors=true) strip_unused_nodes(outputs="a,b")""",
    )


def pointer(text: str, position: int) -> str:
    """Where in the text.

    >>> pointer("fold_constants(", 15)
    "position 15, behind 'fold_constants('"
    """
    return f"position {position}, behind {text[max(0, position - 20) : position]!r}"
