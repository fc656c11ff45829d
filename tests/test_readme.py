"""Everything the README shows is run: its programs, what they print, its errors, its commands."""

import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import unfold as uf
from unfold.apps.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
ERROR = re.compile(r"^(\w+): (.*)$", re.DOTALL)


def test_programs_run_in_order_and_print_what_the_readme_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    space = {}
    blocks = [*BLOCKS, ("", "")]
    for (language, text), (after, shown) in pairwise(blocks):
        if language != "python":
            continue
        wanted = shown.strip() if after == "text" else None
        error = ERROR.match(wanted or "")
        if error and hasattr(uf, error[1]):
            with pytest.raises(getattr(uf, error[1]), match=re.escape(error[2].strip())):
                exec(text, space)
            continue
        exec(text, space)
        printed = capsys.readouterr().out.strip()
        assert wanted is None or printed == wanted, text
    assert (tmp_path / "rnn.svg").exists()


def test_pictures_are_the_ones_their_programs_draw(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = {}
    for kind, text in BLOCKS:
        if kind == "python" and (not space or "bptt.svg" in text):
            exec(text, space)
    shown = re.findall(r"!\[[^]]*\]\((viz/[^)]+\.svg)\)", README)
    assert len(shown) == 5
    for name in shown:
        fresh = (tmp_path / Path(name).name).read_bytes()
        assert (ROOT / name).read_bytes() == fresh, f"{name} is out of date: run its README line"


def test_every_picture_and_file_it_names_is_there():
    for name in re.findall(r"\]\(([^)#]+)\)", README):
        assert name.startswith("https://") or (ROOT / name).exists(), name


@pytest.mark.parametrize(
    "line", [line for kind, text in BLOCKS if kind == "console" for line in text.splitlines()]
)
def test_commands_run(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text(README, encoding="utf-8")
    if "sample" in line:
        main(["train", "README.md", "--hidden", "8", "--epochs", "1", "-o", "readme.npz"])
    prompt, program, *words = shlex.split(line)
    assert (prompt, program) == ("$", "unfold")
    assert main(words) == 0
    assert capsys.readouterr().out


def test_the_two_commands_name_what_is_installed():
    commands = [text for kind, text in BLOCKS if kind == "sh"]
    assert len(commands) == 2
    assert "unfold gallery gallery" in commands[0]
    assert "-m pytest" in commands[1]
    help_text = subprocess.run(
        [sys.executable, "-m", "unfold", "gallery", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert "DIR" in help_text
    assert "--text" in help_text
