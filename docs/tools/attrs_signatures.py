"""Signatures of attrs classes in the API pages: griffe reads sources and does not know what attrs generates."""

from typing import Any

import griffe

KINDS = griffe.ParameterKind
MADE_BY = ("attrs.frozen", "attrs.define", "attrs.mutable")


def arguments(call: Any) -> dict[str, Any]:
    """Keyword arguments of a call as they stand in the source."""
    found = call.arguments if isinstance(call, griffe.ExprCall) else ()
    return {each.name: each.value for each in found if isinstance(each, griffe.ExprKeyword)}


def decorator_of(cls: griffe.Class) -> Any | None:
    """The attrs decorator of a class, or None."""
    for decorator in cls.decorators:
        if isinstance(decorator.value, griffe.Expr) and decorator.value.canonical_path in MADE_BY:
            return decorator.value
    return None


def default_of(field: griffe.Attribute) -> Any:
    """What the field is unless given, or None where it must be given."""
    value = field.value
    if not (isinstance(value, griffe.ExprCall) and value.canonical_path == "attrs.field"):
        return value
    given = arguments(value)
    return given.get("default", "..." if "factory" in given else None)


def parameters(cls: griffe.Class) -> list[griffe.Parameter]:
    """Parameters of the `__init__` that attrs makes of a class's own fields and of those that it inherits."""
    found: dict[str, griffe.Parameter] = {}
    try:
        bases = cls.mro()
    except ValueError:  # a base whose source is not here
        bases = []
    for owner in [*reversed(bases), cls]:
        decorator = decorator_of(owner)
        if decorator is None:
            continue
        keyword_only = str(arguments(decorator).get("kw_only")) == "True"
        for field in owner.attributes.values():
            options = arguments(field.value)
            if field.annotation is None or "property" in field.labels or str(options.get("init")) == "False":
                continue
            if "ClassVar" in str(field.annotation) or "instance-attribute" not in field.labels:
                continue
            named = keyword_only or str(options.get("kw_only")) == "True"
            name = field.name.lstrip("_")
            found[name] = griffe.Parameter(
                name,
                annotation=field.annotation,
                kind=KINDS.keyword_only if named else KINDS.positional_or_keyword,
                default=default_of(field),
            )
    return sorted(found.values(), key=lambda parameter: parameter.kind is KINDS.keyword_only)


class AttrsSignatures(griffe.Extension):
    """Adds the generated `__init__` to every attrs class that has none of its own."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Called for each loaded package."""
        self._visit(pkg)

    def _visit(self, holder: griffe.Module | griffe.Class) -> None:
        if isinstance(holder, griffe.Class) and decorator_of(holder) and "__init__" not in holder.members:
            own = griffe.Parameter("self", kind=KINDS.positional_or_keyword)
            init = griffe.Function(
                "__init__", parameters=griffe.Parameters(own, *parameters(holder)), parent=holder
            )
            holder.set_member("__init__", init)
        for member in list(holder.members.values()):
            if not member.is_alias and (member.is_module or member.is_class):
                self._visit(member)  # type: ignore[arg-type]
