"""A `Grid` as Markdown and as LaTeX."""

from __future__ import annotations

import re
import unicodedata

from sslbench.report.grids import Grid, Shown

_MARKDOWN = re.compile(r"([\\`*_\[\]|<>])")
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    "—": "---",
    "–": "--",
    "…": r"\ldots{}",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "·": r"$\cdot$",
}


def markdown(grid: Grid, *, notes: bool = True) -> str:
    """A pipe table with its caption above and its footnotes and notes below. Best entries are bold."""
    lines = [
        escape_markdown(grid.caption),
        "",
        _pipes([grid.corner, *grid.header], escape=True),
        _pipes(["---", *("---:" if grid.numeric(c) else "---" for c in range(len(grid.header)))]),
        *(_pipes([escape_markdown(row.name), *map(_markdown_cell, row.cells)]) for row in grid.rows),
    ]
    below = [f"<sup>{letter}</sup> {escape_markdown(text)}" for letter, text in grid.footnotes]
    below += [escape_markdown(note) for note in grid.notes] if notes else []
    return "\n".join([*lines, *(line for text in below for line in ("", text))]) + "\n"


def latex(grid: Grid, label: str) -> str:
    """A booktabs table float. Needs `\\usepackage{booktabs}`; best entries are bold."""
    columns = "".join("r" if grid.numeric(c) else "l" for c in range(len(grid.header)))
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escape_latex(grid.caption)}}}",
        rf"  \label{{{label}}}",
        rf"  \begin{{tabular}}{{l{columns}}}",
        r"    \toprule",
        _ampersands([escape_latex(text) for text in (grid.corner, *grid.header)]),
        r"    \midrule",
        *(_ampersands([escape_latex(row.name), *map(_latex_cell, row.cells)]) for row in grid.rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        *(_latex_note(rf"\textsuperscript{{{letter}}}~{escape_latex(text)}") for letter, text in grid.footnotes),
        *(_latex_note(escape_latex(note)) for note in grid.notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escape_markdown(text: str) -> str:
    """The text as itself inside a Markdown table, whatever it holds."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def escape_latex(text: str) -> str:
    """The text as itself in LaTeX, whatever it holds."""
    return "".join(_LATEX.get(c) or _greek(c) or c for c in " ".join(text.split()))


def _greek(character: str) -> str | None:
    """α as $\\alpha$: pdflatex has no Greek letters in text."""
    name = unicodedata.name(character, "")
    found = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (\w+)", name)
    if not found:
        return None
    letter = found[2].lower().replace("lamda", "lambda")
    return rf"$\{letter if found[1] == 'SMALL' else letter.capitalize()}$"


def _pipes(texts: list[str], *, escape: bool = False) -> str:
    return "| " + " | ".join(escape_markdown(t) if escape else t for t in texts) + " |"


def _markdown_cell(cell: Shown) -> str:
    text = escape_markdown(cell.text)
    marks = f"<sup>{','.join(cell.footnotes)}</sup>" if cell.footnotes else ""
    return (f"**{text}**" if cell.best else text) + marks


def _ampersands(texts: list[str]) -> str:
    return "    " + " & ".join(texts) + r" \\"


def _latex_cell(cell: Shown) -> str:
    text = escape_latex(cell.text)
    marks = rf"\textsuperscript{{{','.join(cell.footnotes)}}}" if cell.footnotes else ""
    return (rf"\textbf{{{text}}}" if cell.best else text) + marks


def _latex_note(text: str) -> str:
    return rf"  \par\smallskip{{\footnotesize {text}}}"
