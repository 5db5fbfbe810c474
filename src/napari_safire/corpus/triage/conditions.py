"""Conditions on the columns of a manifest, as somebody writes them.

``verdict == "forged" and n_sources >= 3 and not "photos/old" in picture``

Comparisons, ``and``, ``or``, ``not``, ``in``, names of columns and values: the text is parsed by
Python's `ast`, every part is looked at here, and nothing of it is ever run. A picture that has no
value in a column fulfils no comparison with it, nor the opposite of one.
"""

from __future__ import annotations

import ast
import difflib
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from napari_safire.errors import DatasetError
from napari_safire.text import printable

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["number", "text", "truth", "texts", "other"]
_Test = Callable[[Any], Any]
"""From a table to an array of truth values, null where a value is missing."""

_LONGEST = 2_000  # characters of a condition
_LARGEST = 2**63
_COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {  # in pyarrow.compute; with sides changed
    ast.Eq: ("equal", "equal"),
    ast.NotEq: ("not_equal", "not_equal"),
    ast.Lt: ("less", "greater"),
    ast.LtE: ("less_equal", "greater_equal"),
    ast.Gt: ("greater", "less"),
    ast.GtE: ("greater_equal", "less_equal"),
}
_WORDS: dict[Kind, str] = {
    "number": "numbers",
    "text": "text",
    "truth": "True or False",
    "texts": "lists of texts",
    "other": "values that cannot be compared",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """What pictures have to fulfil. Make one with `parse_condition`.

    Parameters
    ----------
    text : str
        As it was written.
    columns : frozenset of str
        That have to be read.
    """

    text: str
    columns: frozenset[str]
    _test: _Test = field(repr=False, compare=False)

    def fulfilled(self, table: pa.Table) -> npt.NDArray[np.bool_]:
        """Tell which rows of a table fulfil it.

        Parameters
        ----------
        table : Table
            With at least its `columns`.

        Returns
        -------
        (n,) bool array
        """
        import pyarrow.compute as pc

        found = pc.fill_null(self._test(table), False)
        return np.asarray(found, dtype=bool)


def parse_condition(text: str, schema: pa.Schema) -> Condition:
    """Understand a condition on the columns of a table.

    Parameters
    ----------
    text : str
        ``==``, ``!=``, ``<``, ``<=``, ``>``, ``>=`` between columns and values; ``in`` a list of
        values, ``"…" in`` a column of text; ``is None``; ``and``, ``or``, ``not``, parentheses.
    schema : Schema
        Of the table.

    Returns
    -------
    Condition

    Raises
    ------
    DatasetError
        It is no condition, or names a column that is not there: a sentence that says which.
    """
    if len(text) > _LONGEST:
        raise DatasetError(
            f"The condition has {len(text):,} characters, {_LONGEST:,} are read: make it shorter."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's remarks on how a text is written
            body = ast.parse(text.strip(), mode="eval").body
        parser = _Parser(schema)
        test = parser.truth(body)
        test(schema.empty_table())  # what fails does so now, and not behind a million rows
    except (
        SyntaxError, ValueError, TypeError, NotImplementedError, RecursionError, MemoryError
    ) as error:  # fmt: skip
        where = f" near character {error.offset}" if isinstance(error, SyntaxError) else ""
        raise DatasetError(
            f"The condition {printable(text)!r} cannot be read{where}: write one such as "
            "verdict == 'forged' and score > 0.9."
        ) from error
    return Condition(text, frozenset(parser.columns), test)


def column_kind(schema: pa.Schema, name: str) -> Kind:
    """Tell what a column holds.

    Raises
    ------
    DatasetError
        There is none of this name: the sentence names those that are there, or one like it.
    """
    import pyarrow as pa

    if name not in schema.names:
        near = difflib.get_close_matches(name, schema.names, 1)
        out = f"did you mean {near[0]}?" if near else f"choose of {', '.join(schema.names)}."
        raise DatasetError(f"There is no column {printable(name)}: {out} Texts stand in quotes.")
    of = schema.field(name).type
    if pa.types.is_dictionary(of):
        of = of.value_type
    if pa.types.is_boolean(of):
        return "truth"
    if pa.types.is_integer(of) or pa.types.is_floating(of):
        return "number"
    if pa.types.is_string(of) or pa.types.is_large_string(of):
        return "text"
    if (pa.types.is_list(of) or pa.types.is_large_list(of)) and pa.types.is_string(of.value_type):
        return "texts"
    return "other"


def column_values(table: pa.Table, name: str) -> Any:
    """Return a column of a table, texts as such where they are kept as a dictionary."""
    import pyarrow as pa

    column = table[name]
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


class _Parser:
    """Looks at each part of a parsed condition, and makes a test of it."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self.columns: set[str] = set()

    def truth(self, node: ast.expr) -> _Test:
        """A part that is true or false of a picture."""
        import pyarrow.compute as pc

        if isinstance(node, ast.BoolOp):
            parts = [self.truth(value) for value in node.values]
            join = pc.and_kleene if isinstance(node.op, ast.And) else pc.or_kleene
            return lambda table: _joined(join, [part(table) for part in parts])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            part = self.truth(node.operand)
            return lambda table: pc.invert(part(table))
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            parts = [
                self._comparison(left, operator, right)
                for left, operator, right in zip(sides, node.ops, sides[1:], strict=False)
            ]
            return lambda table: _joined(pc.and_kleene, [part(table) for part in parts])
        if isinstance(node, ast.Name):
            name = self._column(node)
            if self._kind(name) == "truth":
                return lambda table: column_values(table, name)
            raise DatasetError(
                f"{name} holds {_WORDS[self._kind(name)]}: compare it, as in {self._sample(name)}."
            )
        raise DatasetError(
            f"{_written(node)} is no condition: write comparisons of columns, joined by and, or, "
            "not."
        )

    def _comparison(self, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> _Test:
        if isinstance(operator, (ast.In, ast.NotIn)):
            return _opposite(self._among(left, right), isinstance(operator, ast.NotIn))
        if isinstance(operator, (ast.Is, ast.IsNot)):
            return _opposite(self._missing(left, right), isinstance(operator, ast.IsNot))
        names = _COMPARISONS[type(operator)]
        if isinstance(left, ast.Name) and isinstance(right, ast.Name):
            return self._two_columns(left, names[0], right)
        if isinstance(left, ast.Name):
            return self._with_value(left, names[0], right)
        if isinstance(right, ast.Name):
            return self._with_value(right, names[1], left)
        raise DatasetError(f"{_written(left)} is no column: compare a column with a value.")

    def _two_columns(self, left: ast.Name, how: str, right: ast.Name) -> _Test:
        import pyarrow.compute as pc

        one, two = self._column(left), self._column(right)
        kinds = {self._kind(one), self._kind(two)}
        if kinds not in ({"number"}, {"text"}, {"truth"}):
            words = f"{_WORDS[self._kind(one)]} and {two} {_WORDS[self._kind(two)]}"
            raise DatasetError(f"{one} holds {words}: they cannot be compared.")
        compare = getattr(pc, how)
        return lambda table: compare(column_values(table, one), column_values(table, two))

    def _with_value(self, column: ast.Name, how: str, node: ast.expr) -> _Test:
        import pyarrow as pa
        import pyarrow.compute as pc

        name, value = self._column(column), _value(node)
        if value is None:
            raise DatasetError(f"Nothing equals None: write {name} is None, or is not None.")
        self._require_kind(name, [value])
        compare, scalar = getattr(pc, how), pa.scalar(value)
        return lambda table: compare(column_values(table, name), scalar)

    def _among(self, left: ast.expr, right: ast.expr) -> _Test:
        import pyarrow.compute as pc

        if isinstance(right, ast.Name):
            name, value = self._column(right), _value(left)
            if self._kind(name) not in ("text", "texts") or not isinstance(value, str):
                raise DatasetError(
                    f"{name} holds {_WORDS[self._kind(name)]}: only a text can be in a column of "
                    "texts."
                )
            joined = self._kind(name) == "texts"

            def within(table: Any) -> Any:
                column = column_values(table, name)
                return pc.match_substring(
                    pc.binary_join(column, "\n") if joined else column, pattern=value
                )

            return within
        if not isinstance(left, ast.Name) or not isinstance(right, (ast.Tuple, ast.List, ast.Set)):
            raise DatasetError(
                f"{_written(right)} is no list: write score in (1, 2), or 'part' in picture."
            )
        name, values = self._column(left), [_value(node) for node in right.elts]
        if not values or None in values:
            raise DatasetError(f"The list that {name} is looked for in has gaps: fill it in.")
        self._require_kind(name, values)
        return _in_list(name, values, self._schema.field(name).type)

    def _missing(self, left: ast.expr, right: ast.expr) -> _Test:
        import pyarrow.compute as pc

        if (
            not isinstance(left, ast.Name)
            or not isinstance(right, ast.Constant)
            or right.value is not None
        ):
            raise DatasetError(f"{_written(right)} cannot stand behind is: write score is None.")
        name = self._column(left)
        if self._kind(name) == "text":  # a manifest has empty texts where there is nothing to say
            return lambda table: pc.equal(pc.fill_null(column_values(table, name), ""), "")
        return lambda table: pc.is_null(table[name], nan_is_null=self._kind(name) == "number")

    def _column(self, node: ast.Name) -> str:
        column_kind(self._schema, node.id)
        self.columns.add(node.id)
        return node.id

    def _kind(self, name: str) -> Kind:
        return column_kind(self._schema, name)

    def _require_kind(self, name: str, values: Sequence[Any]) -> None:
        kind = self._kind(name)
        fits: dict[Kind, type | tuple[type, ...]] = {
            "number": (int, float),
            "text": str,
            "truth": bool,
        }
        for value in values:
            if (
                kind not in fits
                or not isinstance(value, fits[kind])
                or isinstance(value, bool) != (kind == "truth")
            ):
                raise DatasetError(
                    f"{name} holds {_WORDS[kind]}, not {printable(repr(value))[:80]}: write "
                    f"{self._sample(name)}."
                )

    def _sample(self, name: str) -> str:
        samples: dict[Kind, str] = {
            "number": f"{name} > 0.5",
            "text": f"{name} == 'text'",
            "truth": name,
            "texts": f"'text' in {name}",
        }
        return samples.get(self._kind(name), "a condition on another column")


def _in_list(name: str, values: list[Any], of: pa.DataType) -> _Test:
    import pyarrow as pa
    import pyarrow.compute as pc

    if any(isinstance(value, float) for value in values) or (
        pa.types.is_floating(of) or of == pa.uint64()
    ):
        values = [float(value) for value in values]
    wanted = pa.array(values)

    def among(table: Any) -> Any:
        column = column_values(table, name)
        found = pc.is_in(column.cast(wanted.type), value_set=wanted)
        return pc.if_else(pc.is_valid(column), found, pa.scalar(None, pa.bool_()))

    return among


def _value(node: ast.expr) -> Any:
    """The number, text, truth value or None that a part of a condition says."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _value(node.operand)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return -value if isinstance(node.op, ast.USub) else value
    elif isinstance(node, ast.Constant):
        value = node.value
        if value is None or isinstance(value, (str, bool)):
            return value
        if isinstance(value, (int, float)):
            if not -_LARGEST <= value < _LARGEST or not math.isfinite(value):
                raise DatasetError(f"{_written(node)} is too large a number: write a smaller one.")
            return value
    raise DatasetError(
        f"{_written(node)} is no value: write a number, a text in quotes, or the name of a column "
        "alone."
    )


def _joined(join: Callable[[Any, Any], Any], parts: Sequence[Any]) -> Any:
    whole = parts[0]
    for part in parts[1:]:
        whole = join(whole, part)
    return whole


def _opposite(test: _Test, wanted: bool) -> _Test:
    import pyarrow.compute as pc

    return (lambda table: pc.invert(test(table))) if wanted else test


def _written(node: ast.expr) -> str:
    return printable(ast.unparse(node))[:80]
