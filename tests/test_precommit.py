"""The pre-commit configuration runs the pinned tools of .venv, and nothing from a network."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def test_every_hook_is_local_and_its_program_is_pinned():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf8"))
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    programs = {hook["entry"].split()[0] for hook in hooks}
    assert programs == {".venv/bin/ruff", ".venv/bin/mypy", ".venv/bin/torchgrade"}
    assert {hook["language"] for hook in hooks} == {"system"}
    locked = (ROOT / "grader_env" / "requirements" / "lock.txt").read_text(encoding="utf8")
    assert "\npre-commit==" in locked


def test_ci_does_without_it():
    for name in (".ci/run", "Makefile"):
        assert "pre-commit" not in (ROOT / name).read_text(encoding="utf8")
