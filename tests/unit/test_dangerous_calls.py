"""The scan for dangerous calls finds every kind, and lets what is right through."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

# What is added -> who finds it: the rule of ruff, or "here" for .ci/dangerous_calls.py.
DANGEROUS = {
    "pickle": ("import pickle\npickle.load(f)", "S301 here"),
    "unpickler": ("from pickle import Unpickler as U\nU(f).load()", "S301 here"),
    "dill": ("import dill as d\nd.loads(b'')", "S301 here"),
    "shelve": ("import shelve\nshelve.open('a')", "S301 here"),
    "marshal": ("import marshal\nmarshal.loads(b'')", "S302 here"),
    "joblib": ("from joblib import load\nload('a')", "here"),
    "eval": ("eval(text)", "S307 here"),
    "exec": ("exec(text)", "S102 here"),
    "compile": ("code = compile(text, 'a', 'exec')", "here"),
    "import": ("import importlib\nimportlib.import_module(name)", "here"),
    "run_path": ("from runpy import run_path\nrun_path(name)", "here"),
    "import_constant": ("import importlib\nimportlib.import_module('pickle').loads(b'')", "here"),
    "dunder_import": ("__import__('pickle').loads(b'')", "here"),
    "getattr": ("import torch\ngetattr(torch, 'load')('a')", "here"),
    "builtins": ("import builtins\nbuiltins.eval(text)", "here"),
    "builtins_alias": ("from builtins import exec as run\nrun(text)", "here"),
    "alias": ("import torch\nread = torch.load\nread('a')", "here"),
    "alias_eval": ("number = eval\nnumber(text)", "here"),
    "partial": (
        "from functools import partial\nimport torch\nread = partial(torch.load, 'a')",
        "here",
    ),
    "map": ("numbers = list(map(eval, texts))", "here"),
    "table": ("import yaml\nREADERS = {'.yml': yaml.full_load}", "here"),
    "resolve_name": ("from pkgutil import resolve_name\nresolve_name(text)()", "here"),
    "from_file": ("from importlib import util\nutil.spec_from_file_location('a', path)", "here"),
    "exec_module": ("spec.loader.exec_module(module)", "here"),
    "yaml_loader": ("import yaml\nyaml.load(text, Loader=yaml.Loader)", "S506 here"),
    "yaml_variable": ("from yaml import Loader as How, load as read\nread(text, How)", "here"),
    "yaml_all": ("import yaml\nyaml.load_all(text, yaml.UnsafeLoader)", "here"),
    "torch_serialization": ("from torch.serialization import load\nload('a')", "here"),
    "torch_position": ("import torch\ntorch.load('a', 'cpu', None)", "here"),
    "torch_hub": ("from torch.hub import load_state_dict_from_url as get\nget(address)", "here"),
    "numpy_position": ("import numpy as np\nnp.load('a', None, True)", "here"),
    "numpy_dictionary": ("import numpy as np\nnp.load('a', **{'allow_pickle': True})", "here"),
    "numpy_format": ("from numpy.lib.format import read_array\nread_array(f, sure)", "here"),
    "numpy_partial": (
        "from functools import partial\nload = partial(np.load, allow_pickle=True)",
        "here",
    ),
    "pandas_eval": ("frame.eval(text)", "here"),
    "hdf": ("import pandas as pd\npd.read_hdf('a')", "here"),
    "bash": ("import subprocess\nsubprocess.run(['bash', '-c', f'ls {name}'])", "here"),
    "exec_shell": ("import os\nos.execlp('sh', 'sh', '-c', line)", "S606 here"),
    "async_program": ("import asyncio\nasyncio.create_subprocess_exec('sh', '-c', line)", "here"),
    "pipe": (
        "from multiprocessing.connection import Listener\nListener(a).accept().recv()",
        "here",
    ),
    "file_config": ("import logging.config\nlogging.config.fileConfig(path)", "here"),
    "cetree": ("from xml.etree import cElementTree", "here"),
    "sandboxed_jinja": ("from jinja2.sandbox import SandboxedEnvironment as E\nE()", "here"),
    "html": ("class Name(str):\n    def __html__(self):\n        return self", "here"),
    "pillow_annotated": ("from PIL import Image\nImage.MAX_IMAGE_PIXELS: int = 0", "here"),
    "server": ("import ssl\nssl._create_unverified_context()", "S323 here"),
    "database_extension": ("connection.load_extension('a')", "here"),
    "yaml": ("import yaml\nyaml.load(text)", "S506 here"),
    "unsafe_yaml": ("from yaml import unsafe_load\nunsafe_load(text)", "here"),
    "torch": ("import torch\ntorch.load('a')", "here"),
    "torch_false": ("from torch import load\nload('a', weights_only=False)", "here"),
    "torch_variable": ("import torch as t\nt.load('a', weights_only=sure)", "here"),
    "torch_jit": ("import torch\ntorch.jit.load('a')", "here"),
    "numpy": ("import numpy as np\nnp.load('a', allow_pickle=True)", "here"),
    "numpy_variable": ("import numpy as np\nnp.load('a', allow_pickle=sure)", "here"),
    "shell": ("import subprocess\nsubprocess.run(line, shell=True)", "S602 here"),
    "system": ("import os\nos.system(line)", "S605 here"),
    "async_shell": ("from asyncio import create_subprocess_shell as run\nrun(line)", "here"),
    "tar": ("import tarfile\ntarfile.open('a').extractall()", "S202 here"),
    "zip": ("import zipfile\nzipfile.ZipFile('a').extractall()", "here"),
    "unpack": ("import shutil\nshutil.unpack_archive('a')", "here"),
    "etree": ("from xml.etree import ElementTree\nElementTree.parse('a')", "S314 here"),
    "lxml": ("from lxml import etree\netree.parse('a')", "here"),
    "sax": ("import xml.sax\nxml.sax.parse('a', h)", "S317 here"),
    "jinja": ("from jinja2 import Environment\nEnvironment()", "S701"),
    "jinja_off": ("from jinja2 import Environment\nEnvironment(autoescape=False)", "S701 here"),
    "jinja_template": ("from jinja2 import Template\nTemplate(text)", "here"),
    "markup": ("from markupsafe import Markup\nMarkup(f'<b>{name}</b>')", "S704"),
    "mktemp": ("import tempfile\ntempfile.mktemp()", "S306 here"),
    "md5": ("import hashlib\nhashlib.md5(data)", "S324"),
    "sha1": ("import hashlib\nhashlib.new('sha1', data)", "S324"),
    "no_timeout": ("import requests\nrequests.get('https://a')", "S113"),
    "session_no_timeout": ("self._session.get('https://a')", "here"),
    "no_certificate": (
        "import requests\nrequests.get('https://a', timeout=9, verify=False)",
        "S501",
    ),
    "urlopen": ("from urllib.request import urlopen\nurlopen(address)", "S310"),
    "sql": ("connection.execute(f\"SELECT a FROM b WHERE c = '{d}'\")", "S608"),
    "extension": ("connection.enable_load_extension(True)", "here"),
    "pillow": ("from PIL import Image\nImage.MAX_IMAGE_PIXELS = None", "here"),
    "remote_code": ("load_dataset('a', trust_remote_code=True)", "here"),
    "assert": ("assert path.is_relative_to(root)", "here"),
    "swallowed": ("try:\n    check()\nexcept Exception:\n    pass", "S110"),
    "password": ("password = 'correct horse'", "S105"),
}
TEMPLATES = {
    "safe": "<p>{{ name | safe }}</p>",
    "unescaped": "{% autoescape false %}{{ name }}{% endautoescape %}",
    "markup": "<script>cell.innerHTML = name</script>",
    "eval": "<script>eval (name)</script>",
    "filter": "{% filter safe %}{{ name }}{% endfilter %}",
    "attribute": "<a href={{ name }}>",
}
HARMLESS = """
import hashlib, json, pickletools, re, subprocess, sys, yaml
from importlib import import_module
import numpy as np, torch
from jinja2 import Environment
assert value is not None and isinstance(other, str)
import_module("napari_safire.types")
re.compile("a")
torch.load("a", map_location="cpu", weights_only=True)
np.load("a", allow_pickle=False)
np.load("a")
yaml.safe_load(text)
subprocess.run([sys.executable], shell=False)
Environment(autoescape=True)
hashlib.md5(data, usedforsecurity=False)
model.eval()
import jinja2, torch.nn
def shown(template: jinja2.Template, compile: bool, load=np.load) -> None: ...
partial(torch.nn.Linear, 3)
getattr(torch, name)
list(map(np.load, names))
np.load("a", None, False)
subprocess.run(["/bin/bash", path])
subprocess.run([sys.executable, "-c", code])
session.get(address, timeout=9)
exec(text)  # reviewed: written by this program itself
# reviewed: written by this program itself
compile(text, "a", "exec")
"""


@pytest.fixture(scope="module")
def scan() -> dict[str, Any]:
    # reviewed: a script of ours
    return runpy.run_path(str(ROOT / ".ci/dangerous_calls.py"))


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Rules S of ruff, as the project sets them, that each sample breaks: asked once for all."""
    folder = tmp_path_factory.mktemp("src")
    for name, (code, _) in DANGEROUS.items():
        (folder / f"{name}.py").write_text(f"{code}\n", encoding="utf-8")
    (folder / "harmless.py").write_text(HARMLESS, encoding="utf-8")
    asked = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "json"]
    ran = subprocess.run(
        [*asked, "--config", str(ROOT / "pyproject.toml"), str(folder)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    found: dict[str, set[str]] = {}
    for one in json.loads(ran.stdout):
        if (one["code"] or "").startswith("S") and not one["code"].startswith("SIM"):
            found.setdefault(Path(one["filename"]).stem, set()).add(one["code"])
    return found


@pytest.mark.parametrize("name", DANGEROUS)
def test_every_kind_is_found(
    name: str, rules: dict[str, set[str]], scan: dict[str, Any], tmp_path: Path
) -> None:
    code, by = DANGEROUS[name]
    expected = set(by.split())
    path = tmp_path / "added.py"
    path.write_text(f"{code}\n", encoding="utf-8")
    found = set(rules.get(name, ()))
    if scan["found_in"](path):
        found.add("here")
    assert expected <= found


def test_what_is_right_or_reviewed_is_let_through(
    rules: dict[str, set[str]], scan: dict[str, Any], tmp_path: Path
) -> None:
    assert "harmless" not in rules or rules["harmless"] == {"S102"}  # its own mark is noqa
    path = tmp_path / "right.py"
    path.write_text(HARMLESS, encoding="utf-8")
    assert scan["found_in"](path) == []


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("file", ["page.html", "templates/page.md"])
def test_templates_are_looked_through(
    name: str, file: str, scan: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"<h1>\n{TEMPLATES[name]}\n", encoding="utf-8")
    assert [line for line, _ in scan["found_in"](path)] == [2]
    path.write_text(f"{{# reviewed: of ours alone #}}{TEMPLATES[name]}\n", encoding="utf-8")
    assert scan["found_in"](path) == []


def test_the_command_fails_when_a_call_is_added(
    scan: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main: Callable[[list[str]], int] = scan["main"]
    (tmp_path / "good.py").write_text("print()\n", encoding="utf-8")
    assert main([str(tmp_path)]) == 0
    (tmp_path / "bad.py").write_text("\neval(input())\n", encoding="utf-8")
    assert main([str(tmp_path)]) == 1
    assert "bad.py:2: eval: runs code" in capsys.readouterr().out


def test_an_exemption_needs_a_reason(scan: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "bare.py"
    path.write_text("eval(text)  # reviewed:\n", encoding="utf-8")
    assert scan["found_in"](path)


def test_the_scan_is_part_of_lint() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lint = makefile.partition("\nlint:")[2].partition("\n\n")[0]
    assert "python .ci/dangerous_calls.py\n" in f"{lint}\n"
    assert "ruff check ." in lint
