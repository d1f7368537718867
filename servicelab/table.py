"""A list of rows that reads well in a notebook, in a terminal and in a test."""

from html import escape

from servicelab.significant import three_digits


class Table:
    """Rows under headings.

    ``rows`` is a sequence of sequences, one entry per heading. ``str(table)`` is plain text;
    a notebook shows an HTML table. Numbers have three significant digits. ``caption`` says what the table holds: of a
    table without rows it is all that is shown. If the first heading is "", the first column holds the rows' names.
    """

    def __init__(self, headings, rows, caption=""):
        self.headings = list(headings)
        self.rows = [list(row) for row in rows]
        self.caption = caption
        for row in self.rows:
            if len(row) != len(self.headings):
                raise ValueError(f"row {row!r} has {len(row)} entries, the table has {len(self.headings)} headings")

    def __len__(self):
        return len(self.rows)

    def __iter__(self):
        return iter(self.rows)

    def __str__(self):
        if self.caption and not self.rows:
            return self.caption
        lines = [self.headings] + [[three_digits(value) for value in row] for row in self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.headings))]
        drawn = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
        drawn.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join(([self.caption] if self.caption else []) + drawn)

    __repr__ = __str__

    def _repr_html_(self):
        named = self.headings[:1] == [""]  # then the first column names its rows; a heading must not be empty
        head = "".join(_cell(heading, "col" if heading else "") for heading in self.headings)
        body = "".join(
            f"<tr>{''.join(_cell(three_digits(v), 'row' if named and not i else '') for i, v in enumerate(row))}</tr>"
            for row in self.rows
        )
        caption = f'<caption style="text-align:left">{escape(self.caption)}</caption>' if self.caption else ""
        if self.caption and not self.rows:
            return f"<div>{escape(self.caption)}</div>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text, scope):
    kind, scope = ("th", f' scope="{scope}"') if scope else ("td", "")
    return f'<{kind}{scope} style="text-align:left">{escape(text)}</{kind}>'
