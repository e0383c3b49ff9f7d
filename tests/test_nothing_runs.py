"""What a file says is never run: the ways in which Python would, looked for in the package's own code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "bundle" / "labelmine"
#: Calls that run what they are given, or what lies in a file.
RUN = {
    "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.run", "subprocess.Popen", "subprocess.call",
    "subprocess.check_output", "pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load", "dill.load",
    "dill.loads", "yaml.full_load", "yaml.unsafe_load", "yaml.UnsafeLoader", "yaml.FullLoader", "torch.jit.load",
    "pd.read_pickle", "shelve.open", "marshal.loads", "shutil.unpack_archive",
}  # fmt: skip
#: Modules of the package that may reach out, because a knob asks them to.
REACH_OUT = {"download.py", "connection.py"}


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def complaints(path: Path) -> list[str]:
    found = []
    for name, call in calls(path):
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        arguments = [ast.unparse(one) for one in call.args]
        if name == "subprocess.run" and "shell" not in given:
            continue  # git, for a study's page
        if name in RUN or name.endswith((".extractall", ".loads_pickle")):
            found.append(name)
        elif name == "eval" and arguments != ["'None'"]:
            found.append("eval")
        elif name == "torch.load" and given.get("weights_only") != "True":
            found.append("torch.load without weights_only=True")
        elif name == "np.load" and given.get("allow_pickle", "False") != "False":
            found.append("np.load with pickles")
        elif name == "yaml.load" and not {*arguments[1:], given.get("Loader")} & SAFE_LOADERS:
            found.append("yaml.load without a safe loader")
        elif name.endswith(".from_pretrained") and given.get("trust_remote_code", "False") != "False":
            found.append("code of a hub")
    return found


SAFE_LOADERS = {"_Loader", "yaml.BaseLoader", "yaml.SafeLoader", "loader"}  # loader: one of the first two, by its type


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("torch.load(path)", ["torch.load without weights_only=True"]),
        ("torch.load(path, weights_only=True)", []),
        ("np.load(path, allow_pickle=True)", ["np.load with pickles"]),
        ("eval('a' + b)", ["eval"]),
        ("yaml.load(text, yaml.Loader)", ["yaml.load without a safe loader"]),
        ("archive.extractall(folder)", ["archive.extractall"]),
        ("model.eval()", []),
    ],
)
def test_what_would_run_a_file_is_found(code: str, complaint: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(code)
    assert complaints(tmp_path / "a.py") == complaint


def test_no_file_is_run() -> None:
    found = {path.relative_to(PACKAGE).as_posix(): complaints(path) for path in PACKAGE.rglob("*.py")}
    assert {name: what for name, what in found.items() if what} == {}


def test_only_what_a_knob_asks_for_is_fetched() -> None:
    modules = {"urllib.request", "requests", "http.client", "httpx", "aiohttp", "ftplib"}
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if modules & set(names):
                found.add(path.name)
    assert found <= REACH_OUT
