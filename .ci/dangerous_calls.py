"""Calls that hand a file's content to something that runs it: what ruff's S rules do not see.

    python .ci/dangerous_calls.py [FILE_OR_FOLDER ...]      default: all of the repository

ruff (rules S of pyproject.toml) finds calls of pickle, eval, exec, yaml.load, shell=True,
extractall, weak hashes and requests without a time limit. This finds the rest: imports of what
unpickles, ``torch.load`` without ``weights_only=True``, ``allow_pickle``, templates of which a part
is not escaped, parsers of XML, modules named by a text, checks that ``python -O`` takes away, and
limits of Pillow that are switched off. What is dangerous to call is found as well where it is
handed on instead (``partial(torch.load, path)``, ``map(eval, texts)``), or taken by
its name (``getattr(torch, "load")``). A scan of names cannot find who wants to hide a call.

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
_UNPICKLERS |= {"jsonpickle", "torch.package", "sklearn.externals.joblib", "numcodecs.pickles"}
_UNPICKLERS |= {"multiprocessing.connection", "multiprocessing.managers"}  # of whoever connects
_XML = {"lxml", "xml.dom", "xml.sax", "xml.parsers.expat", "xml.etree", "xmlrpc"}
_YAML = "makes objects that the file names: yaml.safe_load does not"
CALLS = {
    "eval": "runs code that stands in a text",
    "exec": "runs code that stands in a text",
    "compile": "makes code of a text",
    "__import__": "imports what a text names",
    "importlib.import_module": "imports what a text names",
    "importlib.util.spec_from_file_location": "runs a file",
    "importlib.machinery.SourceFileLoader": "runs a file",
    "pkgutil.resolve_name": "imports what a text names",
    "pydoc.locate": "imports what a text names",
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
    "torch.hub.load_state_dict_from_url": "unpickles what it downloads",
    "torch.utils.model_zoo.load_url": "unpickles what it downloads",
    "torch.ops.load_library": "loads a program",
    "torch.export.load": "runs a program that stands in a file",
    "yaml.load": _YAML,
    "yaml.load_all": _YAML,
    "yaml.full_load": _YAML,
    "yaml.full_load_all": _YAML,
    "yaml.unsafe_load": _YAML,
    "yaml.unsafe_load_all": _YAML,
    "yaml.Loader": _YAML,
    "yaml.FullLoader": _YAML,
    "yaml.UnsafeLoader": _YAML,
    "ruamel.yaml.YAML": "may make objects that the file names: give typ='safe', and say so",
    "logging.config.fileConfig": "evaluates what stands in a file",
    "numexpr.evaluate": "runs code that stands in a text",
    "jinja2.Template": "escapes nothing: use an Environment with autoescape=True",
    "tempfile.mktemp": "names a file that somebody else may make first",
    "shutil.unpack_archive": "writes wherever an archive says",
    "pandas.read_pickle": "unpickles",
    "pandas.read_hdf": "unpickles",
    "pandas.eval": "runs code that stands in a text",
    "ssl._create_unverified_context": "trusts any server",
    "pyarrow.deserialize": "unpickles",
}
_ONLY_TYPES = ("jinja2.Template", "ruamel.yaml.YAML")  # that annotations may name
_METHODS = {  # whatever they are called on
    "extractall": "writes wherever an archive says: read the members that are wanted",
    "enable_load_extension": "lets a database load code",
    "load_extension": "lets a database load code",
    "subprocess_shell": "runs a line in a shell",
    "exec_module": "runs a file",
    "set_auto_load": "lets a file's extension types load code",
}
# Dangerous by an argument: harmless where they are handed on, or taken by their name, with it.
_LOADERS = {"torch.load": "without weights_only=True: unpickles"}
_SAME = {"torch.serialization.load": "torch.load", "numpy.lib.npyio.load": "numpy.load"}
# Arguments by their place, which are seldom given so.
_POSITIONS = {"numpy.load": (2, "allow_pickle"), "numpy.lib.format.read_array": (1, "allow_pickle")}
_SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "cmd", "cmd.exe", "powershell", "pwsh"}
_SHELLS |= {f"/bin/{name}" for name in ("sh", "bash", "dash", "zsh")}
_PROGRAMS = ("subprocess.", "os.exec", "os.spawn", "os.posix_spawn", "asyncio.create_subprocess")
_KEYWORDS = {  # that are refused, unless they are False
    "allow_pickle": "unpickles",
    "shell": "runs a line in a shell",
    "trust_remote_code": "runs code that it downloads",
}
_TEMPLATE_MARKS = {
    r"\|\s*safe\b|\{%-?\s*filter\s+safe\b": "is not escaped",
    r"=\{\{": "an attribute without quotes is not kept in by escaping",
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
    for node in ast.walk(tree):  # load = torch.load
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name | ast.Attribute):
            name = _called(node.value, known)
            for target in node.targets:
                if isinstance(target, ast.Name) and (name in CALLS or name in _LOADERS):
                    known[target.id] = name
    return known


def _called(node: ast.expr, known: dict[str, str]) -> str:
    """Whole dotted name of something; "" where it has none."""
    if isinstance(node, ast.Name):
        found = known.get(node.id, node.id)
    elif isinstance(node, ast.Attribute):
        before = _called(node.value, known)
        found = f"{before}.{node.attr}" if before else f"?.{node.attr}"
    elif _is_call_of(node, known, "getattr") and len(node.args) > 1:  # type: ignore[attr-defined]
        of, name = node.args[:2]  # type: ignore[attr-defined]
        if not isinstance(name, ast.Constant):
            return ""
        found = f"{_called(of, known) or '?'}.{name.value}"
    elif _is_call_of(node, known, "importlib.import_module", "__import__"):
        named = node.args[:1]  # type: ignore[attr-defined]
        found = str(named[0].value) if named and isinstance(named[0], ast.Constant) else ""
    else:
        return ""
    found = found.removeprefix("builtins.")
    return _SAME.get(found, found)


def _is_call_of(node: ast.expr, known: dict[str, str], *names: str) -> bool:
    return isinstance(node, ast.Call) and _called(node.func, known) in names


def _in_tree(
    tree: ast.AST, known: dict[str, str], shipped: bool
) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _of_import(node)
        elif isinstance(node, ast.Call):
            yield from _of_call(node, known)
            if id(node) not in called:
                yield from _handed_on(node, known)
        elif isinstance(node, ast.Name | ast.Attribute) and id(node) not in called:
            yield from _handed_on(node, known)
        elif isinstance(node, ast.FunctionDef) and node.name == "__html__":
            yield node, "__html__: what it gives is escaped nowhere"
        elif isinstance(node, ast.Assert) and shipped and not _narrows(node.test):
            yield node, "assert: python -O takes it away, raise an error"
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            yield from _of_assignment(node, known)


def _of_import(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[ast.stmt, str]]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        names = [f"{node.module}.{alias.name}" for alias in node.names] if not node.level else []
    for name in names:
        if why := _why_no_import(name):
            yield node, f"{name}: {why}"


def _why_no_import(name: str) -> str:
    if _below(name, _UNPICKLERS):
        return "what unpickles runs code of the file"
    if _below(name, _XML):
        return "entities of XML take any memory, and fetch files"
    return ""


def _below(name: str, modules: set[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def _of_call(node: ast.Call, known: dict[str, str]) -> Iterator[tuple[ast.expr, str]]:
    name = _called(node.func, known)
    keywords = _keywords(node, name)
    method = name.rpartition(".")[2]
    if name in CALLS and not _is_constant_text(name, node):
        yield node, f"{name}: {CALLS[name]}"
    elif "." in name and method in _METHODS:
        yield node, f"{name}: {_METHODS[method]}"
    elif method == "eval" and "." in name and node.args:  # of pandas; networks have no argument
        yield node, f"{name}: {CALLS['eval']}"
    if name in _LOADERS and not _is(keywords.get("weights_only"), True):
        yield node, f"{name} {_LOADERS[name]}"
    for keyword, why in _KEYWORDS.items():
        if keyword in keywords and not _is(keywords[keyword], False):
            yield node, f"{name}({keyword}=…): {why}"
    if "autoescape" in keywords and _is(keywords["autoescape"], False):
        yield node, f"{name}(autoescape=False): nothing is escaped"
    if re.match(r"jinja2\.(.*\.)?\w*Environment$", name) and "autoescape" not in keywords:
        yield node, f"{name} without autoescape=True: nothing is escaped"
    if name.startswith(_PROGRAMS) and _is_shell(node):
        yield node, f"{name}: runs a line in a shell"
    on = name.rpartition(".")[0]
    if method in _VERBS and _SESSION.search(on) and "timeout" not in keywords:
        yield node, f"{name} without timeout: waits for ever"


def _keywords(node: ast.Call, name: str) -> dict[str, ast.expr]:
    """Arguments by name, also those of a dictionary that stands there, and known ones by place."""
    found = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
    for keyword in node.keywords:
        if keyword.arg is None and isinstance(keyword.value, ast.Dict):
            for key, value in zip(keyword.value.keys, keyword.value.values, strict=True):
                if isinstance(key, ast.Constant):
                    found[str(key.value)] = value
    place, of_place = _POSITIONS.get(name, (len(node.args), ""))
    if place < len(node.args):
        found[of_place] = node.args[place]
    return found


def _is_shell(node: ast.Call) -> bool:
    """Whether a shell is run with a line that is made here: ``["sh", "-c", line]``."""
    parts: list[ast.expr] = []
    for argument in node.args:
        parts += argument.elts if isinstance(argument, ast.List | ast.Tuple) else [argument]
    told = {part.value for part in parts if isinstance(part, ast.Constant)}
    return bool(told & _SHELLS and told & {"-c", "-lc", "/c", "/C", "-Command"})


def _handed_on(node: ast.expr, known: dict[str, str]) -> Iterator[tuple[ast.expr, str]]:
    """What is dangerous to call, used as a value: whoever gets it calls it."""
    if isinstance(getattr(node, "ctx", None), ast.Store | ast.Del):
        return
    name = _called(node, known)
    if name in CALLS and name not in ("compile", *_ONLY_TYPES):
        yield node, f"{name}, handed on: {CALLS[name]}"
    elif name in _LOADERS:
        yield node, f"{name}, handed on {_LOADERS[name]}"
    elif isinstance(node, ast.Call) and _why_no_import(name):
        yield node, f"{name}: {_why_no_import(name)}"


def _is_constant_text(name: str, node: ast.Call) -> bool:
    """Whether a module is imported whose name stands in the code."""
    return (
        name in ("importlib.import_module", "__import__")
        and bool(node.args)
        and isinstance(node.args[0], ast.Constant)
    )


def _of_assignment(
    node: ast.Assign | ast.AnnAssign | ast.AugAssign, known: dict[str, str]
) -> Iterator[tuple[ast.stmt, str]]:
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
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
