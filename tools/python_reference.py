"""Pages of what Python code calls: the front door and every room, with signatures and docstrings from the source."""

import ast
import dataclasses
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

from docstring_words import docstring, paragraphs, plain

import angulus

ROOMS = {
    "margins": "losses as functions of cosines",
    "heads": "class weights, and how the softmax is summed",
    "models": "networks, their input and their files",
    "data": "sources of images, and in which order they are seen",
    "embeddings": "what a model made of images",
    "evaluation": "error rates, searches, thresholds",
    "faces": "photos to crops",
    "training": "runs",
    "study": "grids of runs",
    "config": "recipes",
    "inspection": "what is in a set, and what leaked into another",
    "purification": "wrong labels",
    "inversion": "what a model gives away",
    "export": "a file for deployment, and the proof that it is the same model",
}


def front_page() -> str:
    """What `import angulus` gives, and the rooms behind it."""
    lines = [
        "# Python\n",
        "`import angulus` gives what most code needs, each imported when it is first used. Examples that run: "
        "[a training loop](../python/training_loop.md), [a network](../python/network.md), "
        "[arrays](../python/arrays.md), [a margin](../python/margin.md), [data](../python/data_source.md).\n",
        *(f"* [`angulus.{room}`](python_{room}.md): {about}" for room, about in ROOMS.items()),
        "",
    ]
    names = [name for name in angulus.__all__ if not name.startswith("_")]
    for name in sorted(names, key=str.lower):
        lines += entry(f"angulus.{name}", getattr(angulus, name))
    return "\n".join(lines)


def room_page(room: str) -> str:
    """Every name of one room."""
    module = importlib.import_module(f"angulus.{room}")
    lines = [f"# angulus.{room}\n", *paragraphs(inspect.getdoc(module) or "")]
    for name in sorted(module.__all__, key=str.lower):
        lines += entry(name, getattr(module, name))
    return "\n".join(lines)


def entry(title: str, value: Any) -> Iterator[str]:
    """Heading, signature and explanation of one name."""
    yield f"## {title}\n"
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        names = value if isinstance(value, dict | tuple | list) else []
        listed = ", ".join(f"`{name}`" for name in names if isinstance(name, str))
        yield f"{type(value).__name__ if listed else 'a type'}{': ' + listed if listed else ''}\n"
        return
    yield f"```python\n{signature(title.removeprefix('angulus.'), value)}\n```\n"
    yield from docstring(value)
    if inspect.isclass(value):
        for name, method in vars(value).items():
            if not name.startswith("_") and (inspect.isfunction(method) or isinstance(method, classmethod)):
                first = " ".join((inspect.getdoc(method) or "").partition("\n\n")[0].split())
                yield f"* **`.{name}`**`({arguments_text(method)})`{': ' if first else ''}{plain(first)}"
        yield ""


def signature(name: str, value: Any) -> str:
    """The call as it stands in the source, an argument a line where it is long."""
    node = node_of(value)
    after = ""
    if isinstance(node, ast.ClassDef) and dataclasses.is_dataclass(value):
        keywords = any(field.kw_only for field in dataclasses.fields(value) if field.init)
        parts = [*(["*"] if keywords else []), *field_texts(value)]
    elif isinstance(node, ast.ClassDef):
        made = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"]
        if not made:
            return f"class {name}"
        parts = argument_texts(made[0], own=True)
    else:
        parts = argument_texts(node, own=False)
        after = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"{name}({', '.join(parts)}){after}"
    return line if len(line) <= 88 else f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){after}"


def field_texts(value: type) -> Iterator[str]:
    """The fields of a dataclass, inherited ones first, with types and defaults as they are written down."""
    found: dict[str, str] = {}
    for base in reversed(value.__mro__):
        node = node_of(base) if dataclasses.is_dataclass(base) else None
        for part in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                default = f" = {ast.unparse(part.value)}" if part.value else ""
                found[part.target.id] = f"{part.target.id}: {ast.unparse(part.annotation)}{default}"
    known = {field.name for field in dataclasses.fields(value) if field.init}
    return (text for name, text in found.items() if name in known)


def arguments_text(method: Any) -> str:
    """What a method is called with."""
    node = node_of(method.__func__ if isinstance(method, classmethod) else method)
    return ", ".join(argument_texts(node, own=True)) if isinstance(node, ast.FunctionDef) else ""


def argument_texts(node: ast.FunctionDef, *, own: bool) -> list[str]:
    """Arguments with types and defaults; `self` and `cls` left out where the function belongs to a class."""
    plain_ones = [*node.args.posonlyargs, *node.args.args]
    defaults = [None] * (len(plain_ones) - len(node.args.defaults)) + list(node.args.defaults)
    pairs: list[tuple[str, ast.arg, Any]] = [("", *pair) for pair in zip(plain_ones, defaults, strict=True)]
    parts = [argument_text(*pair) for pair in (pairs[1:] if own else pairs)]
    if node.args.vararg:
        parts.append(argument_text("*", node.args.vararg, None))
    elif node.args.kwonlyargs:
        parts.append("*")
    parts += [argument_text("", *pair) for pair in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]
    return parts


def argument_text(stars: str, argument: ast.arg, default: Any) -> str:
    quoted = isinstance(argument.annotation, ast.Constant) and isinstance(argument.annotation.value, str)
    written = argument.annotation.value if quoted else ast.unparse(argument.annotation) if argument.annotation else ""
    kind = f": {written}" if written else ""
    return f"{stars}{argument.arg}{kind}{f' = {ast.unparse(default)}' if default is not None else ''}"


def node_of(value: Any) -> Any:
    """The syntax of a class or function, or None where there is no source."""
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(value)))).body[0]
    except (OSError, TypeError):
        return None
