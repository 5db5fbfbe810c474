"""Calls that hand a file's content to something that runs it: what ruff's S rules do not see.

    python .ci/dangerous_calls.py [FILE_OR_FOLDER ...]      default: all of the repository

ruff (rules S of pyproject.toml) finds calls of pickle, eval, exec, yaml.load, shell=True,
extractall, weak hashes and requests without a time limit. This finds the rest: imports of what
unpickles, ``torch.load`` without ``weights_only=True``, ``allow_pickle``, templates of which a part
is not escaped, parsers of XML, modules named by a text, checks that ``python -O`` takes away, and
limits of Pillow that are switched off.

A line that is right as it is says why: ``# reviewed: …`` in the statement or the line before it,
``{# reviewed: … #}`` in the line of a template. Prints what it found; exits with 1 if anything.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("src", "training", "benchmarks", "tests", "docs", ".ci")
TEMPLATES = (".html", ".j2", ".jinja", ".xml", ".svg.in", ".typ")
_SHIPPED = ("src", "training")  # where an assert is taken away by python -O, or a test is not run

_UNPICKLERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
_UNPICKLERS |= {"jsonpickle", "torch.package", "sklearn.externals.joblib"}
_XML = {"lxml", "xml.dom", "xml.sax", "xml.parsers.expat", "xml.etree.ElementTree", "xmlrpc"}
CALLS = {
    "eval": "runs code that stands in a text",
    "exec": "runs code that stands in a text",
    "compile": "makes code of a text",
    "__import__": "imports what a text names",
    "importlib.import_module": "imports what a text names",
    "runpy.run_path": "runs a file",
    "runpy.run_module": "runs what a text names",
    "os.system": "runs a line in a shell",
    "os.popen": "runs a line in a shell",
    "asyncio.create_subprocess_shell": "runs a line in a shell",
    "subprocess.getoutput": "runs a line in a shell",
    "subprocess.getstatusoutput": "runs a line in a shell",
    "torch.hub.load": "runs code that it downloads",
    "torch.jit.load": "runs a program that stands in a file",
    "torch.serialization.add_safe_globals": "lets a checkpoint make objects",
    "torch.serialization.safe_globals": "lets a checkpoint make objects",
    "yaml.load": "makes objects that the file names: yaml.safe_load does not",
    "yaml.full_load": "makes objects that the file names: yaml.safe_load does not",
    "yaml.unsafe_load": "makes objects that the file names: yaml.safe_load does not",
    "jinja2.Template": "escapes nothing: use an Environment with autoescape=True",
    "tempfile.mktemp": "names a file that somebody else may make first",
    "shutil.unpack_archive": "writes wherever an archive says",
    "pandas.read_pickle": "unpickles",
    "pyarrow.deserialize": "unpickles",
}
_METHODS = {  # whatever they are called on
    "extractall": "writes wherever an archive says: read the members that are wanted",
    "enable_load_extension": "lets a database load code",
    "set_auto_load": "lets a file's extension types load code",
}
_KEYWORDS = {  # that are refused, unless they are False
    "allow_pickle": "unpickles",
    "shell": "runs a line in a shell",
    "trust_remote_code": "runs code that it downloads",
}
_TEMPLATE_MARKS = {
    r"\|\s*safe\b": "is not escaped",
    r"\bautoescape\s+false\b": "is not escaped",
    r"\binnerHTML\b|\bouterHTML\b|\binsertAdjacentHTML\b|\bdocument\.write\b": "writes markup",
    r"\beval\s*\(|\bnew\s+Function\b": "runs a text",
}
_REVIEWED = re.compile(r"(?:#|\{#)\s*reviewed:\s*\S+\s+\S+")
_SESSION = re.compile(r"session$", re.IGNORECASE)
_VERBS = {"get", "post", "put", "head", "request"}


def main(given: list[str]) -> int:
    """Look through files or folders, print what is found, and count."""
    places = [Path(name) for name in given] or [ROOT / name for name in FOLDERS]
    n_found = n_files = 0
    for path in sorted(file for place in places for file in _files(place)):
        n_files += 1
        for line, told in found_in(path):
            n_found += 1
            shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
            print(f"{shown}:{line}: {told}")
    if n_found:
        print(f"{n_found} dangerous calls: replace them, or say why with '# reviewed: …'.")
    else:
        print(f"No dangerous calls in {n_files} files.")
    return int(n_found > 0)


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
        return
    for path in place.rglob("*"):
        if path.is_file() and (path.suffix == ".py" or _is_template(path)):
            yield path


def _is_template(path: Path) -> bool:
    return path.name.endswith(TEMPLATES) or path.parent.name == "templates"


def found_in(path: Path) -> list[tuple[int, str]]:
    """Return the lines of a file that are dangerous, each with why."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return list(_in_template(text))
    lines = text.splitlines()
    shipped = not path.is_relative_to(ROOT) or path.relative_to(ROOT).parts[0] in _SHIPPED
    tree = ast.parse(text)
    found = []
    for node, told in _in_tree(tree, _names(tree), shipped):
        span = lines[node.lineno - 1 : (node.end_lineno or node.lineno)]
        before = lines[node.lineno - 2 : node.lineno - 1]
        span += [line for line in before if line.lstrip().startswith("#")]
        if not any(_REVIEWED.search(line) for line in span):
            found.append((node.lineno, told))
    return found


def _in_template(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, why in _TEMPLATE_MARKS.items():
            for mark in re.finditer(pattern, line):
                if not _REVIEWED.search(line):
                    yield number, f"{mark[0]!r}: {why}"


def _names(tree: ast.AST) -> dict[str, str]:
    """What the names of a module stand for, by its imports."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    known[alias.asname] = alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return known


def _called(node: ast.expr, known: dict[str, str]) -> str:
    """Whole dotted name of something; "" where it has none."""
    if isinstance(node, ast.Name):
        return known.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        before = _called(node.value, known)
        return f"{before}.{node.attr}" if before else f"?.{node.attr}"
    return ""


def _in_tree(
    tree: ast.AST, known: dict[str, str], shipped: bool
) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _of_import(node)
        elif isinstance(node, ast.Call):
            yield from _of_call(node, known)
        elif isinstance(node, ast.Assert) and shipped and not _narrows(node.test):
            yield node, "assert: python -O takes it away, raise an error"
        elif isinstance(node, ast.Assign):
            yield from _of_assignment(node, known)


def _of_import(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[ast.stmt, str]]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        names = [f"{node.module}.{alias.name}" for alias in node.names] if not node.level else []
    for name in names:
        if _below(name, _UNPICKLERS):
            yield node, f"{name}: what unpickles runs code of the file"
        elif _below(name, _XML):
            yield node, f"{name}: entities of XML take any memory, and fetch files"


def _below(name: str, modules: set[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def _of_call(node: ast.Call, known: dict[str, str]) -> Iterator[tuple[ast.expr, str]]:
    name = _called(node.func, known)
    keywords = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
    method = name.rpartition(".")[2]
    if name in CALLS and not _is_constant_text(name, node):
        yield node, f"{name}: {CALLS[name]}"
    elif "." in name and method in _METHODS:
        yield node, f"{name}: {_METHODS[method]}"
    if name == "torch.load" and not _is(keywords.get("weights_only"), True):
        yield node, "torch.load without weights_only=True: unpickles"
    for keyword, why in _KEYWORDS.items():
        if keyword in keywords and not _is(keywords[keyword], False):
            yield node, f"{name}({keyword}=…): {why}"
    if "autoescape" in keywords and _is(keywords["autoescape"], False):
        yield node, f"{name}(autoescape=False): nothing is escaped"
    on = name.rpartition(".")[0]
    if method in _VERBS and _SESSION.search(on) and "timeout" not in keywords:
        yield node, f"{name} without timeout: waits for ever"


def _is_constant_text(name: str, node: ast.Call) -> bool:
    """Whether a module is imported whose name stands in the code."""
    return (
        name in ("importlib.import_module", "__import__")
        and bool(node.args)
        and isinstance(node.args[0], ast.Constant)
    )


def _of_assignment(node: ast.Assign, known: dict[str, str]) -> Iterator[tuple[ast.stmt, str]]:
    for target in node.targets:
        for part in target.elts if isinstance(target, ast.Tuple) else (target,):
            name = _called(part, known)
            if name.endswith((".MAX_IMAGE_PIXELS", ".LOAD_TRUNCATED_IMAGES")):
                yield node, f"{name}: a limit of Pillow for the whole process"


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _narrows(test: ast.expr) -> bool:
    """Whether an assert tells the type checker what is known, and guards nothing."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return all(map(_narrows, test.values))
    if isinstance(test, ast.Call):
        return isinstance(test.func, ast.Name) and test.func.id == "isinstance"
    return (
        isinstance(test, ast.Compare)
        and len(test.ops) == 1
        and isinstance(test.ops[0], ast.IsNot)
        and _is_none(test.comparators[0])
    )


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
