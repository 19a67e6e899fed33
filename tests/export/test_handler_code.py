from pathlib import Path

from export.handler_code import HANDLER, handler_code


def _write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


def test_code_is_followed_through_packages_functions_and_names_of_modules(tmp_path: Path) -> None:
    _write(
        tmp_path,
        {
            HANDLER: "def load():\n    from handlers.service import Service\n",
            "handlers/__init__.py": "",
            "handlers/service.py": "import numpy\nimport ncf.a.deep\nfrom ncf import b\n",
            "handlers/forgotten.py": "",
            "ncf/__init__.py": "",
            "ncf/a/__init__.py": "from ncf.c import value\n",
            "ncf/a/deep.py": "import ncf.a\n",  # a circle
            "ncf/a/unused.py": "",
            "ncf/b.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import ncf.d\n",
            "ncf/c.py": "value = 1\n",
            "ncf/d.py": "",
        },
    )
    assert handler_code(tmp_path) == [
        "handlers/__init__.py",
        "handlers/service.py",
        "ncf/__init__.py",
        "ncf/a/__init__.py",
        "ncf/a/deep.py",
        "ncf/b.py",
        "ncf/c.py",
    ]


def test_the_room_of_scoring_is_carried_whole_and_no_room_of_training() -> None:
    code = handler_code()
    root = Path(__file__).parents[2]
    room = {path.relative_to(root).as_posix() for path in (root / "ncf/scoring").glob("*.py")}
    assert room <= set(code)
    assert {path.rsplit("/", 1)[0] for path in code} == {"ncf", "ncf/scoring", "handlers"}
