"""Tools and the choice among them -> ``tools`` and ``toolConfig``, without I/O.

Source: https://ai.google.dev/api/caching#Tool (FunctionDeclaration, FunctionCallingConfig).
"""

from __future__ import annotations

from typing import Any

from actinium.errors import BadRequest, Unsupported

Json = dict[str, Any]


def tools_of(tools: tuple[Json, ...]) -> tuple[Json, ...]:
    """The functions of a request. Raises BadRequest and Unsupported with the tool's place."""
    declared = []
    for at, tool in enumerate(tools):
        function = _function(tool, at)
        found: Json = {"name": function["name"]}
        if function.get("description"):
            found["description"] = function["description"]
        if function.get("parameters"):
            found["parametersJsonSchema"] = function["parameters"]
        declared.append(found)
    return ({"functionDeclarations": declared},) if declared else ()


def tool_config(tools: tuple[Json, ...], choice: str | Json | None) -> Json | None:
    """Whether and what the model calls.

    ``strict`` functions are called with arguments of their schema: the mode VALIDATED, where
    the choice leaves it open.
    """
    if not tools:
        if choice is None or choice in ("none", "auto"):
            return None
        raise BadRequest("tool_choice needs tools beside it", "tool_choice")
    names = {tool["function"]["name"] for tool in tools}
    strict = any(tool["function"].get("strict") for tool in tools)
    match choice:
        case None | "auto":
            return _mode("VALIDATED") if strict else None
        case "none":
            return _mode("NONE")
        case "required":
            return _mode("ANY")
        case {"type": "function", "function": {"name": str(name)}}:
            return _mode("ANY", _known([name], names))
        case {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [*allowed]}}:
            if mode in ("auto", "required"):
                given = [_function(tool, at)["name"] for at, tool in enumerate(allowed)]
                return _mode("ANY" if mode == "required" else "VALIDATED", _known(given, names))
    raise BadRequest(
        'expected "auto", "none", "required", a function or allowed_tools as `tool_choice`, '
        f"got {str(choice)[:80]}",
        "tool_choice",
    )


def _mode(mode: str, allowed: list[str] | None = None) -> Json:
    config: Json = {"mode": mode}
    if allowed is not None:
        config["allowedFunctionNames"] = allowed
    return {"functionCallingConfig": config}


def _known(wanted: list[str], names: set[str]) -> list[str]:
    for name in wanted:
        if name not in names:
            raise BadRequest(
                f"tool_choice names {name!r}, which tools does not have", "tool_choice"
            )
    return wanted


def _function(tool: Any, at: int) -> Json:
    kind = tool.get("type", "function") if isinstance(tool, dict) else None
    if kind != "function":
        raise Unsupported(
            f"a tool of type {kind!r} - at `$.tools[{at}]`; this runner takes functions",
            f"tools[{at}].type",
        )
    function = tool.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise BadRequest(
            f"expected a function with a name - at `$.tools[{at}].function`",
            f"tools[{at}].function.name",
        )
    return function
