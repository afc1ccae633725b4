"""A data team's own transforms: pandas functions in Python files in the folder transforms/ beside the syncs."""

import importlib.util
import sys
import threading
import traceback
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sync_pipelines.model.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas

Function = TypeVar("Function", bound="Callable[..., pandas.Series[Any]]")


@dataclass(frozen=True)
class OwnTransform:
    """A registered function; `file` is where it stands, for people."""

    name: str
    function: "Callable[..., pandas.Series[Any]]"
    frame: bool
    version: int
    file: str


_registered: Final[dict[str, OwnTransform]] = {}
_folders: Final[list[Path]] = []
_loaded: Final[set[Path]] = set()
_lock: Final = threading.RLock()


def transform(name: str, *, frame: bool = False, version: int = 1) -> Callable[[Function], Function]:
    """Registers a function of a pandas Series (with `frame`: of a DataFrame with a column for each source).

    It returns a Series of the same length and index. Each row must depend on that row alone, because blocks of rows
    come in any cut; nulls are None, numbers with a fraction are Decimal, the dtype is object. A new `version` has all
    records read again. Options of a rule are its keyword arguments.
    """

    def register(function: Function) -> Function:
        code = getattr(function, "__code__", None)
        file = code.co_filename if code is not None else repr(function)
        with _lock:
            known = _registered.get(name)
            if known is not None and known.file != file:
                raise ConfigurationError(
                    f"Two transforms are named {name}: rename the one in {known.file} or in {file}."
                )
            if name in _ours():
                raise ConfigurationError(f"{file}: {name} is a transform that is there already: choose another name.")
            _registered[name] = OwnTransform(name, function, frame, version, file)
        return function

    return register


def look_in(folder: Path) -> None:
    """Own transforms may stand in this folder. Its files are imported when a rule first names one."""
    with _lock:
        if folder not in _folders:
            _folders.append(folder)


def own_transform(name: str) -> OwnTransform | None:
    """ConfigurationError, naming file and line, when a file cannot be imported."""
    with _lock:
        if name not in _registered:
            for folder in _folders:
                for file in sorted(folder.glob("*.py")):
                    _load(file.resolve())
        return _registered.get(name)


def own_names() -> list[str]:
    """The names registered so far."""
    return sorted(_registered)


def _load(file: Path) -> None:
    if file in _loaded:
        return
    name = f"sync_pipelines_transforms_{file.stem}_{abs(hash(file)):x}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{file} is not a Python file that can be imported.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ConfigurationError:
        raise
    except Exception as problem:
        sys.modules.pop(name)
        raise ConfigurationError(f"{file}:{_line(problem, file)}: {type(problem).__name__}: {problem}") from problem
    _loaded.add(file)


def _line(problem: Exception, file: Path) -> int:
    """Of the file that was imported, whatever module the problem is in."""
    if isinstance(problem, SyntaxError) and problem.filename == str(file):
        return problem.lineno or 0
    lines = [frame.lineno for frame in traceback.extract_tb(problem.__traceback__) if frame.filename == str(file)]
    return (lines[-1] or 0) if lines else 0


def _ours() -> Container[str]:
    from sync_pipelines.engine.transforms import KINDS  # noqa: PLC0415 - the engine looks here for names it does not know

    return KINDS
