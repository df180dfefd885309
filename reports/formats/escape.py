"""Escape text for Markdown and LaTeX: labels of users hold any printable character."""

import re
from collections.abc import Iterator
from functools import cache

from pylatexenc.latexencode import UnicodeToLatexEncoder

from switchbench.errors import printable

TEX = {
    "\\": "\\textbackslash{}", "&": "\\&", "%": "\\%", "$": "\\$", "#": "\\#", "_": "\\_", "{": "\\{",
    "}": "\\}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "±": "$\\pm$", "×": "$\\times$",
    "†": "$^{\\dagger}$", "–": "--", "<": "\\ensuremath{<}", ">": "\\ensuremath{>}", "|": "\\ensuremath{|}",
    "[": "{[}", "*": "{*}", "-": "{-}", "`": "{`}", "'": "{'}",
}  # fmt: skip
"""The last line: ``\\\\`` takes a ``[`` or ``*`` that follows it as its own, and ``--``, ``?``` and ``''``
are ligatures."""
COMMANDS = set(
    r"""
    \ensuremath \' \` \^ \" \~ \= \. \H \c \r \u \v \ae \oe \o \l \ss \i \AE \OE \O \L \aa \AA \alpha
    \beta \gamma \delta \epsilon \varepsilon \zeta \eta \theta \vartheta \iota \kappa \lambda \mu \nu
    \xi \pi \varpi \rho \varrho \sigma \varsigma \tau \upsilon \phi \varphi \chi \psi \omega \Gamma
    \Delta \Theta \Lambda \Xi \Pi \Sigma \Upsilon \Phi \Psi \Omega \leq \geq \neq \ll \gg \approx \equiv
    \sim \simeq \cong \propto \prec \succ \subset \supset \subseteq \supseteq \in \ni \notin \not \perp
    \mid \parallel \pm \mp \times \cdot \circ \bullet \star \cap \cup \vee \wedge \oplus \otimes \sum
    \prod \int \partial \nabla \infty \forall \exists \sqrt \langle \rangle \hbar \ell \aleph
    \leftrightarrow \Leftarrow \Rightarrow \Leftrightarrow \uparrow \downarrow \mapsto \textleftarrow
    \textrightarrow \textuparrow \textdownarrow \textquoteleft \textquoteright \textquotedblleft
    \textquotedblright \textendash \textemdash \textellipsis \textbullet \textperiodcentered
    \textsection \textparagraph \textdagger \textdaggerdbl \textcopyright \textregistered \texttrademark
    \textsterling \texteuro \textmu \textdegree \textonehalf \textonesuperior \texttwosuperior
    \textthreesuperior \textdiv \texttimes \textlnot \textexclamdown \textquestiondown
    \textasciidieresis
    """.split()
)
"""Commands that LaTeX knows without a package."""


def markdown(text: str) -> str:
    r"""Escape text within a line of Markdown, such as a cell of a table.

    >>> markdown("[a](javascript:x) <b> | *c* _d_ val_loss")
    '\\[a\\](javascript:x) \\<b\\> \\| \\*c\\* \\_d\\_ val_loss'
    """
    special = r"[\\`*\[\]<>|~!$]|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_])"  # $ is mathematics on GitHub
    return re.sub(special, r"\\\g<0>", printable(" ".join(text.split())))


def markdown_line(text: str) -> str:
    r"""Escape a whole line of Markdown, such as a heading or the text of a list's entry.

    >>> markdown_line("- a"), markdown_line("2. a")
    ('\\- a', '2\\. a')
    """
    return re.sub(r"^([#+=-]|\d+(?=[.)]))", _escape_start, markdown(text))


def latex(text: str, breaks: int = 0) -> str:
    r"""Escape text for LaTeX. A character that LaTeX does not know without a package is named by its code.

    Args:
        text: Any text.
        breaks: Lines may be broken within words of more characters, as in a narrow column; 0: in none.

    Returns:
        LaTeX that needs no package.

    >>> latex("50 % λ ≤ é 中")
    "50 \\% \\ensuremath{\\lambda} \\ensuremath{\\leq} \\'e U+4E2D"
    """
    text = printable(" ".join(text.split()))
    allowed = set(_breaks(text, breaks)) if breaks else set()
    parts = (TEX.get(each) or (each if each.isascii() else _encoded(each)) for each in text)
    return "".join(part + ("\\allowbreak{}" if at in allowed else "") for at, part in enumerate(parts))


def _breaks(text: str, longest: int) -> Iterator[int]:
    """Yield the positions after which a line may be broken: in long words, after signs or eight letters."""
    for word in re.finditer(r"\S+", text):
        for length in range(6, len(word[0]) - 4 if len(word[0]) > longest else 0):
            if not word[0][length].isalnum() or length % 8 == 0:
                yield word.start() + length


def _escape_start(found: re.Match[str]) -> str:
    return found[0] + "\\" if found[0].isdigit() else "\\" + found[0]


@cache
def _encoded(character: str) -> str:
    encoded: str = _encoder().unicode_to_latex(character)
    known = encoded.isascii() and COMMANDS.issuperset(re.findall(r"\\(?:[A-Za-z]+|.)", encoded))
    return encoded if known else f"U+{ord(character):04X}"


@cache
def _encoder() -> UnicodeToLatexEncoder:
    return UnicodeToLatexEncoder(unknown_char_policy="keep", unknown_char_warning=False)
