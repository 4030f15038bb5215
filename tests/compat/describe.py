"""Prints the public names of the installed `langcache`, and what can be said of each, as JSON.

It is run by interpreters that have the established package, and by one that has this one.
"""

import enum
import importlib
import inspect
import json

MODULES = ["langcache", "langcache.errors", "langcache.httpclient", "langcache.models", "langcache.utils"]


def public_names(module):
    return getattr(module, "__all__", None) or [name for name in dir(module) if not name.startswith("_")]


def parameters(function):
    return [
        {
            "name": name,
            "positional": parameter.kind < parameter.KEYWORD_ONLY,
            "required": parameter.default is parameter.empty,
        }
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self" and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]


def describe(thing):
    if inspect.isfunction(thing):
        return {"kind": "function", "parameters": parameters(thing)}
    if not inspect.isclass(thing):
        return {"kind": "value"}
    if issubclass(thing, enum.Enum):
        return {"kind": "enum", "members": {member.name: member.value for member in thing}}
    if hasattr(thing, "__total__"):  # a TypedDict, of typing or of typing_extensions
        return {"kind": "typed dict", "keys": sorted(thing.__annotations__)}
    if hasattr(thing, "model_dump"):
        return {"kind": "model", "fields": fields(thing)}
    described = {"kind": "class", "bases": [base.__name__ for base in thing.__mro__]}
    if not getattr(thing, "_is_protocol", False):
        described["parameters"] = parameters(thing)
    described["methods"] = {
        name: {"parameters": parameters(method), "async": inspect.iscoroutinefunction(method)}
        for name, method in inspect.getmembers(thing, inspect.isfunction)
        if not name.startswith("_")
    }
    return described


def fields(model):
    """The names of the fields, and whether each must be given."""
    if hasattr(model, "__struct_fields__"):
        import msgspec

        return {field.name: field.required for field in msgspec.structs.fields(model)}
    return {name: field.is_required() for name, field in model.model_fields.items()}


if __name__ == "__main__":
    modules = {name: importlib.import_module(name) for name in MODULES}
    print(
        json.dumps(
            {
                name: {public: describe(getattr(module, public)) for public in public_names(module)}
                for name, module in modules.items()
            }
        )
    )
