"""What the public API promises of its arguments: a bad one is a ``SizingError`` of one line that names it.

``public`` checks the arguments of a function by name; ``Named`` and ``Checked`` are the metaclasses of the classes that
people build. NumPy's numbers become Python's own on the way in, so that every answer goes into JSON.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import wraps
from numbers import Real
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from sizing.base.errors import SizingError, nearest

if TYPE_CHECKING:  # pydantic keeps the metaclass to itself; at run time it is asked for
    from pydantic._internal._model_construction import ModelMetaclass as _ModelMeta
else:
    _ModelMeta = type(BaseModel)

P = ParamSpec("P")
R = TypeVar("R")
Check = Callable[[Any, str], Any]  # (value, argument's name) -> the value to use
MOST_WHOLE = 10**18  # no count of anything is larger
MOST_DEPTH = 60  # of nested lists and mappings
MOST_SHOWN = 80
_FLAGS = {
    "model": "model",
    "input_tokens": "--input",
    "output_tokens": "--output",
    "prefix_cache_hit_rate": "--prefix-cache-hit-rate",
    "accelerator": "--on",
}


def shown(value: object) -> str:
    """A value for a message: its repr, cut; its type where it has none (whole numbers of thousands of digits)."""
    try:
        text = repr(value)
    except Exception:  # a repr may do anything
        return f"a {type(value).__name__}"
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 3] + "..."


def plain(value: Any, depth: int = 0) -> Any:
    """The same data with Python's own numbers in place of NumPy's, in lists, tuples and mappings too."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if type(value) in (list, tuple) and depth < MOST_DEPTH:
        return type(value)(plain(item, depth + 1) for item in value)
    if type(value) is dict and depth < MOST_DEPTH:
        return {key: plain(item, depth + 1) for key, item in value.items()}
    return value


def real(value: Any, key: str) -> float | int | None:
    """A number, as Python's own int or float; None stays. NaN and infinities are left to the check of the range."""
    value = plain(value)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        raise SizingError(f"must be a number, not {shown(value)}", key=key)
    try:
        found = value if isinstance(value, int) else float(value)
    except (ValueError, OverflowError):  # a signalling NaN, a fraction beyond floats
        raise SizingError("is no number that a float can hold", key=key) from None
    if isinstance(found, int) and abs(found) > MOST_WHOLE:
        raise SizingError(f"must be at most {MOST_WHOLE:.0e}", key=key)
    return found


def whole(value: Any, key: str) -> int | None:
    """A whole number as an int; None stays."""
    found = real(value, key)
    if found is None:
        return None
    if isinstance(found, float) and not found.is_integer():
        raise SizingError(f"must be a whole number, not {found:g}", key=key)
    return int(found)


def amount(value: Any, key: str) -> float:
    """A finite number of at least 0."""
    found = required(real)(value, key)
    if not 0 <= found <= MOST_WHOLE:
        raise SizingError(f"must be a number from 0 to {MOST_WHOLE:.0e}, not {found:g}", key=key)
    return float(found)


def switch(value: Any, key: str) -> bool:
    """True or False."""
    value = plain(value)
    if not isinstance(value, bool):
        raise SizingError(f"must be True or False, not {shown(value)}", key=key)
    return value


def text(value: Any, key: str) -> str | None:
    """A text; None stays."""
    if value is not None and not isinstance(value, str):
        raise SizingError(f"must be a text, not {shown(value)}", key=key)
    return value


def one_of(*types: type, what: str | None = None) -> Check:
    """A value of one of these types, or None. ``what``: how people get one."""
    names = " or ".join(item.__name__ for item in types)

    def check(value: Any, key: str) -> Any:
        if value is not None and not isinstance(value, types):
            raise SizingError(f"must be of type {names}, not {shown(value)}", key=key, hint=what)
        return value

    return check


def required(check: Check) -> Check:
    """The check, and None is refused."""

    def inner(value: Any, key: str) -> Any:
        if value is None:
            raise SizingError("must be given, not None", key=key)
        return check(value, key)

    return inner


def wrong_arguments(name: str, signature: inspect.Signature, count: int, given: Iterable[str]) -> SizingError:
    """What is wrong with a call that does not bind: an unknown keyword with the nearest right one, else what lacks.

    count: arguments without a name; given: the names of the others.
    """
    kinds = inspect.Parameter
    parameters = {key: item for key, item in signature.parameters.items() if key not in ("self", "cls")}
    known = [key for key, item in parameters.items() if item.kind not in (kinds.VAR_KEYWORD, kinds.VAR_POSITIONAL)]
    by_place = [key for key in known if parameters[key].kind is not kinds.KEYWORD_ONLY]
    if count > len(by_place):
        return SizingError(f"takes {len(by_place)} arguments without a name at most, not {count}", key=name)
    there = {*given, *by_place[:count]}
    missing = [key for key in known if parameters[key].default is kinds.empty and key not in there]
    for key in given:
        if key not in known:
            close = nearest(key, missing or known) or nearest(key, known)
            hint = f"did you mean {' or '.join(close)}?" if close else f"it takes {', '.join(known)}"
            return SizingError(f"takes no argument {shown(key)}", key=name, hint=hint)
    if missing:
        return SizingError(f"needs {', '.join(missing)}", key=name)
    twice = [key for key in by_place[:count] if key in given]
    return SizingError(f"is given {', '.join(twice)} twice", key=name)


def flag(name: str) -> str:
    """An argument by the name of its option on the command line, which the functions behind it speak of."""
    return _FLAGS.get(name, "--" + name.replace("_", "-"))


def public(named: Callable[[str], str] = str, /, **checks: Check) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A function whose arguments are checked by name before it runs; see the module's text.

    ``named``: what messages call an argument.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError:
                raise wrong_arguments(function.__name__, signature, _unbound(signature, args), kwargs) from None
            for name, value in bound.arguments.items():
                if name in checks:
                    bound.arguments[name] = checks[name](value, named(name))
            return function(*bound.args, **bound.kwargs)

        return checked

    return decorate


def renamed(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A function whose old keywords keep working for one minor version, with a note on stderr (a FutureWarning).

    names: old keyword = the present one. Giving both raises SizingError.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            for old in [name for name in kwargs if name in names]:
                new = names[old]
                if new in kwargs:
                    raise SizingError(f"is the old name of {new}, which is given too", key=old)
                warnings.warn(f"{old} is now called {new}", FutureWarning, stacklevel=2)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return called

    return decorate


def _unbound(signature: inspect.Signature, args: tuple[Any, ...]) -> int:
    """How many arguments without a name there are, a class or an instance in front not counted."""
    return len(args) - (next(iter(signature.parameters), "") in ("self", "cls"))


class Named(type):
    """Metaclass of classes whose wrong keywords are named with the nearest right one."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except TypeError:
            signature = inspect.signature(type.__getattribute__(cls, "__init__"))
            try:
                signature.bind(None, *args, **kwargs)
            except TypeError:
                raise wrong_arguments(cls.__name__, signature, len(args), kwargs) from None
            raise


class Checked(_ModelMeta):
    """Metaclass of pydantic models that raise ``SizingError`` where they are built from bad values."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if args:
            raise SizingError("takes its values by name", key=cls.__name__, hint=f"such as {cls.__name__}(key=...)")
        try:
            return super().__call__(**plain(kwargs))
        except ValidationError as error:
            raise validation_message(error, cls.__name__, cls) from None


def validation_message(error: ValidationError, name: str, model: Any) -> SizingError:
    """The first problem of a pydantic error as one line: key, what is wrong, what would be right."""
    found = error.errors(include_url=False)
    first = next((item for item in found if item["type"] == "extra_forbidden"), found[0])
    path = ".".join(str(part) for part in first["loc"]) or name
    message = first["msg"].removeprefix("Value error, ")
    hint = None
    if first["type"] == "extra_forbidden":
        message = "unknown key"
        close = nearest(str(first["loc"][-1]), all_keys(model))
        hint = f"did you mean {' or '.join(close)}?" if close else None
    elif first["type"] == "model_type":
        message = f"must be a mapping of keys, not {shown(first.get('input'))}"
        lengths = first.get("ctx", {}).get("class_name") == "LengthDistribution"
        hint = "such as {kind: fixed, value: 1000}" if lengths else None
    elif first["type"] != "missing" and not isinstance(first.get("input"), (dict, list)):
        message = f"{message}, not {shown(first.get('input'))}"
    return SizingError(message, key=path, hint=hint)


def all_keys(model: type[BaseModel]) -> list[str]:
    """The keys of a document and of all its parts."""
    found: list[str] = []
    schema = model.model_json_schema()
    for part in [schema, *schema.get("$defs", {}).values()]:
        found += list(part.get("properties", {}))
    return sorted(set(found))
