"""The mutants of a file: its text with one small thing changed, as mutmut changes it.

    uvx --from mutmut==3.8.1 python tests/mutants/made.py FILE

Prints them in JSON. Runs in an environment of mutmut's own, so it imports nothing of ours. Of mutmut's
changes the blunt ones are not made. Beside the others, conditions are turned, calls for their effect and
named arguments are left out, and words of SQL are changed, which for mutmut are letters. What decorates,
annotates, is raised or imported stays, and so does what `zip` asserts.
"""

import ast
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import (
    mutation_operators,
    operator_arg_removal,
    operator_assignment,
    operator_string,
)

STAYS = (cst.Annotation, cst.Decorator, cst.Import, cst.ImportFrom, cst.Raise)
CALLS_STAY = ("len", "isinstance", "TypeVar")
SQL = re.compile(
    r"\b(SELECT|FROM|WHERE|JOIN|INSERT|UPDATE|DELETE|CREATE|ORDER BY|SET|NULL|CASE|ASOF)\b|[<>]= |::"
)
"""Whether a text is some."""
WORDS = {
    ">=": ">",
    "<=": "<",
    " + ": " - ",
    " - ": " + ",
    "&": "|",
    "max(": "min(",
    "min(": "max(",
    "greatest(": "least(",
    " DESC": "",
    "DISTINCT ": "",
    "IS NOT NULL": "IS NULL",
    " AND ": " OR ",
    "ASOF LEFT": "ASOF",
    "SEMI": "ANTI",
    " IF EXISTS": "",
    " DELETE ": " INSERT ",
}
"""Words of SQL, and what each is changed into."""


def words_of_sql(node: cst.SimpleString | cst.FormattedStringText) -> Iterator[cst.CSTNode]:
    """Each word changed wherever it stands, one place at a time."""
    if SQL.search(node.value):
        for word, other in WORDS.items():
            for found in re.finditer(re.escape(word), node.value):
                yield node.with_changes(value=node.value[: found.start()] + other + node.value[found.end() :])


def call_left_out(node: cst.Expr) -> Iterator[cst.CSTNode]:
    """A call for its effect becomes nothing."""
    if isinstance(node.value, cst.Call):
        yield node.with_changes(value=cst.Ellipsis())


def named_argument_left_out(node: cst.Call) -> Iterator[cst.CSTNode]:
    """An argument that has a name is not given."""
    for place, argument in enumerate(node.args):
        if argument.keyword is not None and not is_strict(argument):
            yield node.with_changes(args=[*node.args[:place], *node.args[place + 1 :]])


def condition_turned(node: cst.If | cst.While | cst.CompIf) -> Iterator[cst.CSTNode]:
    """What is done where it holds is done where it does not."""
    bracketed = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    yield node.with_changes(test=cst.UnaryOperation(cst.Not(), bracketed))


BLUNT = (operator_arg_removal, operator_assignment, operator_string)
"""Put None for a value, or other letters for a name: nearly all of these end in an error at once."""
OPERATORS = (
    *((kind, operator) for kind, operator in mutation_operators if operator not in BLUNT),
    (cst.SimpleString, words_of_sql),
    (cst.FormattedStringText, words_of_sql),
    (cst.Expr, call_left_out),
    (cst.Call, named_argument_left_out),
    *((kind, condition_turned) for kind in (cst.If, cst.While, cst.CompIf)),
)


class Places(cst.CSTVisitor):
    """Finds what may be changed: each node, what it becomes, its function, and the lines of its statement."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[cst.CSTNode, cst.CSTNode, str, range]] = []
        self.names: list[str] = []
        self.lines: list[range] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if stays(node) or (not self.names and is_no_constant(node)):
            return False
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self.names.append(node.name.value)
        if isinstance(node, cst.SimpleStatementLine):
            self.lines.append(self.lines_of(node))
        for kind, operator in OPERATORS:
            if isinstance(node, kind):
                for other in operator(node):
                    lines = self.lines[-1] if self.lines else self.lines_of(node)
                    self.found.append((node, other, ".".join(self.names), lines))
        return True

    def on_leave(self, node: cst.CSTNode) -> None:
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self.names.pop()
        if isinstance(node, cst.SimpleStatementLine) and self.lines:
            self.lines.pop()

    def lines_of(self, node: cst.CSTNode) -> range:
        place = self.get_metadata(PositionProvider, node, None)
        return range(place.start.line, place.end.line + 1) if place else range(0)


def stays(node: cst.CSTNode) -> bool:
    """Whether a node and all in it stay as they are."""
    if isinstance(node, cst.Call):
        return isinstance(node.func, cst.Name) and node.func.value in CALLS_STAY
    return isinstance(node, STAYS) or (isinstance(node, cst.Arg) and is_strict(node))


def is_strict(argument: cst.Arg) -> bool:
    """Whether it is what `zip` asserts: nothing depends on it as long as that holds."""
    return argument.keyword is not None and argument.keyword.value == "strict"


def is_no_constant(node: cst.CSTNode) -> bool:
    """Whether a statement of the file itself gives a name to something else: a type, say."""
    if not isinstance(node, cst.SimpleStatementLine):
        return False
    (statement, *_) = node.body
    targets = statement.targets if isinstance(statement, cst.Assign) else [statement]
    names = [getattr(getattr(target, "target", None), "value", "") for target in targets]
    return not all(isinstance(name, str) and name.isupper() for name in names)


def mutants(source: str) -> Iterator[dict[str, Any]]:
    """Each once: `function`, `lines` of the statement, `was` and `now` of what differs, and `source`."""
    wrapper = MetadataWrapper(cst.parse_module(source))
    places, module = Places(), wrapper.module
    wrapper.visit(places)
    seen, told = {meaning(source)}, Counter[tuple[str, ...]]()
    statement_of = {id(node): place for place, top in enumerate(module.body) for node in below(top)}
    for node, other, function, lines in places.found:
        place = statement_of[id(node)]
        body = list(module.body)
        body[place] = body[place].deep_replace(node, other)
        mutated = module.with_changes(body=body).code
        means = meaning(mutated)
        if means not in seen:
            seen.add(means)
            name = (function, *difference(source.splitlines(), mutated.splitlines()))
            told[name] += 1
            _, was, now = name if told[name] == 1 else (*name[:2], f"{name[2]} [{told[name]}]")
            yield {"function": function, "lines": [*lines], "was": was, "now": now, "source": mutated}


def below(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    yield node
    for child in node.children:
        yield from below(child)


def meaning(source: str) -> str:
    """The same for texts that Python reads as the same; no two are so that it cannot read."""
    try:
        return ast.dump(ast.parse(source))
    except SyntaxError:
        return source


def difference(one: list[str], other: list[str]) -> tuple[str, str]:
    """What of each differs, without the lines that both begin and end with."""
    first = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))  # noqa: B905
    most = min(len(one), len(other)) - first
    last = next((i for i in range(most) if one[-1 - i] != other[-1 - i]), most)
    return tuple(" ".join(line.strip() for line in part[first : len(part) - last]) for part in (one, other))  # type: ignore[return-value]


if __name__ == "__main__":
    json.dump(list(mutants(Path(sys.argv[1]).read_text())), sys.stdout)
