"""The documentation: links lead somewhere, and samples of code run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from napari_safire.cli import app
from napari_safire.images.demo import demo_composite

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.md")])
RUN = ("README.md", "docs/api.md")


def _without_code(text: str) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def _anchors(page: Path) -> set[str]:
    """Of its headings, as code hosts and the site make them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = set()
    for heading in re.findall(r"^#+ +(.*)$", text, re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.strip().lower())
        found.add(plain.replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = _without_code(page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue  # another site: not looked at, there is no network in tests
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name} links to {target}"
        if anchor and path.suffix == ".md":
            assert anchor in _anchors(path), f"{page.name} links to {target}"


@pytest.mark.parametrize("name", RUN)
def test_samples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = re.findall(r"```python\n(.*?)```", (ROOT / name).read_text("utf-8"), re.DOTALL)
    assert samples
    monkeypatch.chdir(tmp_path)
    for sample in samples:
        image, _ = demo_composite()
        exec(compile(sample, name, "exec"), {"image": image})  # reviewed: samples of our own pages


def test_the_site_has_every_page() -> None:
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    for page in sorted((ROOT / "docs").rglob("*.md")):
        name = page.relative_to(ROOT / "docs").with_suffix("").as_posix()
        assert name == "index" or re.search(rf"^{name}$", index, re.MULTILINE), name


def test_pictures_of_the_review_are_small_and_all_of_them_are_used() -> None:
    guide = (ROOT / "docs/review.md").read_text(encoding="utf-8")
    made = {path.name for path in (ROOT / "docs/images").glob("review-*.png")}
    assert set(re.findall(r"images/(review-[\w-]+\.png)", guide)) == made
    assert [n for n in made if (ROOT / "docs/images" / n).stat().st_size > 200_000] == []


def _commands(text: str) -> list[str]:
    """Lines of shell blocks that call the program; those that go on in the next line as one."""
    blocks = re.findall(r"```(?:sh|bash|shell|console)?\n(.*?)```", text, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ") for line in lines if re.match(r"(\$ )?napari-safire ", line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist_with_the_options_that_are_shown(page: Path) -> None:
    program = get_command(app)
    for line in _commands(page.read_text(encoding="utf-8")):
        words = shlex.split(line, comments=True)[1:]
        command, known = program, {"--help", "--version"}
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert not getattr(command, "commands", {}) or not words or words[0][0] == "-", line
        for parameter in command.params:
            known |= {*parameter.opts, *parameter.secondary_opts}
        for word in words:
            if re.match(r"--?[a-z]", word):
                assert word.partition("=")[0] in known, f"{page.name}: {word} in {line!r}"
