"""Messages -> ``contents`` and ``systemInstruction``, without I/O.

Source: https://ai.google.dev/api/caching#Content (Content, Part, FunctionCall,
FunctionResponse) and https://ai.google.dev/gemini-api/docs/thought-signatures.
"""

from __future__ import annotations

import mimetypes
import re
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from actinium.errors import BadRequest, Unsupported
from actinium.inference.request import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    RefusalPart,
    TextPart,
    ToolCall,
)

UNSIGNED: Final = "skip_thought_signature_validator"
"""What Gemini takes for the signature of a call that another model made."""

_DATA: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w=.+-]+)*;base64,", re.ASCII)
_AUDIO: Final = frozenset(("wav", "mp3", "aiff", "aac", "ogg", "flac"))

Json = dict[str, Any]


class Contents(msgspec.Struct, frozen=True):
    """The conversation as Gemini takes it. ``detail`` is what all images were asked with."""

    contents: list[Json]
    system: Json | None
    detail: str | None


def contents_of(messages: tuple[Message, ...], *, vertex: bool, signed: bool) -> Contents:
    """The turns of a conversation.

    System messages become the system instruction wherever they stand. Neighbours of one role
    are one turn; the results of a turn's calls stand together in the order of the calls.
    ``signed`` says that the model refuses calls without a signature. Raises BadRequest and
    Unsupported with the place of what cannot be said to Gemini.
    """
    return _Builder(vertex, signed).build(messages)


class _Builder:
    def __init__(self, vertex: bool, signed: bool) -> None:
        self._vertex = vertex
        self._signed = signed
        self._contents: list[Json] = []
        self._system: list[Json] = []
        self._last = ""  # the role of the last message that made a turn
        self._names: dict[str, tuple[str, int]] = {}  # of the calls, with their place
        self._details: set[str] = set()

    def build(self, messages: tuple[Message, ...]) -> Contents:
        results: list[tuple[int, Json]] = []
        for at, message in enumerate(messages):
            role = message.role
            if message.name is not None and role != "tool":
                raise Unsupported(
                    "Gemini knows no names of participants; write the name into the text",
                    f"messages[{at}].name",
                )
            if role == "tool":
                results.append(self._result(message, at))
                continue
            self._close(results)
            if role in ("system", "developer"):
                self._system += self._texts(message, at)
            elif role == "user":
                self._add("user", self._parts(message, at))
            else:
                self._add("model", self._said(message, at))
        self._close(results)
        if not self._contents:
            raise BadRequest("Gemini needs a message of the user", "messages")
        if len(self._details) > 1:
            raise Unsupported(
                "Gemini looks at all images of a request with one detail, got "
                + " and ".join(sorted(self._details)),
                "messages",
            )
        system = {"parts": self._system} if self._system else None
        return Contents(self._contents, system, next(iter(self._details), None))

    def _add(self, role: str, parts: list[Json]) -> None:
        if not parts:
            return
        if self._last == role:
            self._contents[-1]["parts"] += parts
        else:
            self._contents.append({"role": role, "parts": parts})
        self._last = role

    def _close(self, results: list[tuple[int, Json]]) -> None:
        """Ends a row of results: they are one turn, in the order of the calls."""
        if results:
            results.sort(key=lambda result: result[0])
            self._contents.append({"role": "user", "parts": [part for _, part in results]})
            self._last = "tool"
            results.clear()

    def _said(self, message: Message, at: int) -> list[Json]:
        parts = self._parts(message, at)
        for n, call in enumerate(message.tool_calls or ()):
            self._names[call.id] = (call.function.name, n)
            part: Json = {"functionCall": _call(call, f"messages[{at}].tool_calls[{n}]")}
            signature = _signature(call)
            if signature is None and n == 0 and self._signed:
                signature = UNSIGNED  # only the first call of a step needs one
            if signature is not None:
                part["thoughtSignature"] = signature
            parts.append(part)
        return parts

    def _result(self, message: Message, at: int) -> tuple[int, Json]:
        call_id = message.tool_call_id
        name, place = self._names.get(call_id or "", (message.name or "", 0))
        if not name:
            raise BadRequest(
                f"the result of a call {call_id!r} that no message before it makes",
                f"messages[{at}].tool_call_id",
            )
        text = "".join(part["text"] for part in self._texts(message, at))
        found = _object(text)
        response: Json = {"name": name, "response": {"result": text} if found is None else found}
        if call_id:
            response["id"] = call_id
        return place, {"functionResponse": response}

    def _texts(self, message: Message, at: int) -> list[Json]:
        """The parts of a message that may hold text alone."""
        content = message.content
        if content is None or isinstance(content, str):
            return [{"text": content}] if content else []
        for n, part in enumerate(content):
            if not isinstance(part, TextPart):
                where = f"messages[{at}].content[{n}]"
                kind = type(part).__struct_config__.tag
                raise Unsupported(
                    f"a part of type {kind!r} in a {message.role} message - at `$.{where}`; "
                    "Gemini takes text there",
                    where,
                )
        return [{"text": p.text} for p in content if isinstance(p, TextPart) and p.text]

    def _parts(self, message: Message, at: int) -> list[Json]:
        content = message.content
        if content is None or isinstance(content, str):
            return [{"text": content}] if content else []
        parts: list[Json] = []
        for n, part in enumerate(content):
            where = f"messages[{at}].content[{n}]"
            match part:
                case TextPart():
                    if part.text:
                        parts.append({"text": part.text})
                case RefusalPart():
                    parts.append({"text": part.refusal})
                case ImagePart():
                    parts.append(self._image(part.image_url, f"{where}.image_url"))
                case AudioPart():
                    parts.append(_audio(part.input_audio, f"{where}.input_audio"))
                case FilePart():
                    parts.append(self._file(part.file, f"{where}.file"))
        return parts

    def _image(self, image: Json, where: str) -> Json:
        detail = image.get("detail")
        if detail in ("low", "high"):
            self._details.add(detail)
        elif detail not in (None, "auto"):
            raise BadRequest(
                f"expected 'low', 'high' or 'auto', got {detail!r} - at `$.{where}.detail`",
                f"{where}.detail",
            )
        return self._linked(image.get("url"), "image/", f"{where}.url")

    def _file(self, file: Json, where: str) -> Json:
        data, uri = file.get("file_data"), file.get("file_id")
        if data is not None:
            inline = _inline(data)
            if inline is None:
                raise BadRequest(
                    f"expected a URL data:<type>;base64,<bytes> - at `$.{where}.file_data`",
                    f"{where}.file_data",
                )
            return inline
        return self._linked(uri, "", f"{where}.file_id")

    def _linked(self, url: Any, family: str, where: str) -> Json:
        """Bytes in a data URL, or an address that Google reads itself."""
        if not isinstance(url, str) or not url:
            raise BadRequest(f"expected a URL - at `$.{where}`", where)
        inline = _inline(url)
        if inline is not None:
            return inline
        parts = _split(url)
        if parts is None or parts.scheme not in ("https", "gs"):
            raise BadRequest(
                "expected https://, gs:// or data:<type>;base64,<bytes>, got "
                f"{url[:32]!r} - at `$.{where}`",
                where,
            )
        kind = mimetypes.guess_type(parts.path)[0]
        if kind is not None and kind.startswith(family):
            return {"fileData": {"mimeType": kind, "fileUri": url}}
        if self._vertex:
            raise BadRequest(
                "Vertex must be told the type of a file, and this address has no ending that "
                f"tells; send the bytes in a data URL - at `$.{where}`",
                where,
            )
        return {"fileData": {"fileUri": url}}


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:  # such as an address in brackets that is none
        return None


def _inline(url: Any) -> Json | None:
    found = _DATA.match(url) if isinstance(url, str) else None
    if found is None:
        return None
    return {"inlineData": {"mimeType": found.group(1), "data": url[found.end() :]}}


def _audio(audio: Json, where: str) -> Json:
    form, data = audio.get("format"), audio.get("data")
    if not isinstance(form, str) or form not in _AUDIO or not isinstance(data, str):
        raise BadRequest(
            f"expected data and a format of {', '.join(sorted(_AUDIO))}, got {form!r} "
            f"- at `$.{where}`",
            f"{where}.format",
        )
    return {"inlineData": {"mimeType": f"audio/{form}", "data": data}}


def _call(call: ToolCall, where: str) -> Json:
    arguments = call.function.arguments
    given = _object(arguments) if arguments.strip() else {}
    if given is None:
        raise BadRequest(
            f"expected the JSON text of an object - at `$.{where}.function.arguments`",
            f"{where}.function.arguments",
        )
    return {"id": call.id, "name": call.function.name, "args": given}


def _signature(call: ToolCall) -> str | None:
    google = call.extra_content.get("google") if isinstance(call.extra_content, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) and signature else None


_raw_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _object(text: str) -> dict[str, msgspec.Raw] | None:
    """The members of a JSON object as they are written, or None where it is none."""
    try:
        return _raw_object(text)
    except (msgspec.DecodeError, RecursionError):
        return None
