"""Every exception Actinium raises, in one tree.

    ActiniumError
    ├── UsageError                   the program is wrong: fix the line that the text names
    │   └── AskCycle                 an ask went round in a circle
    ├── ConfigError                  a setting is wrong: file, key, expected, got
    │   ├── RuntimeNotInferred       no runner can be chosen for a model name
    │   └── MissingCredentials       the runner is known, its key is not set
    ├── MissingExtra                 an optional dependency is not installed
    ├── Unavailable                  cannot work here and now, with the reason
    ├── MessageError
    │   ├── NotAMessage              a mutable object was sent
    │   ├── NotAccepted              the actor's accept list does not name it
    │   ├── MessageTooLarge          more bytes than its receiver, or a link, takes at once
    │   ├── NotEncodable             a value cannot leave the process
    │   └── DecodeError              bytes that are no message
    ├── ActorError
    │   ├── ActorNotFound  ActorStopped  ActorRestarted  NameTaken
    │   ├── Unhandled                no handler for this type
    │   ├── SpawnError               the constructor or its arguments failed
    │   ├── HandlerError             the handler of an ask raised
    │   ├── ChildFailed              a supervisor gave up on a child
    │   ├── WorkerDied               the process of the actor ended
    │   ├── LinkedExit               a linked actor ended abnormally
    │   └── SystemFailed             a failure reached the root
    ├── Overloaded
    │   ├── ActivationRefused        no place in memory for one more entity
    │   ├── MailboxFull
    │   ├── RateExceeded             more messages than the actor's rate
    │   ├── TooManyInFlight          as many asks of a GPU block wait as there are numbers for
    │   ├── MemoryLimit              the system's payload is at its limit
    │   ├── CircuitOpen              a breaker lets no call through
    │   ├── StashFull                too many messages set aside
    │   └── Quarantined              the actor is out of service for a while
    ├── Timeout (also builtin TimeoutError)
    │   ├── AskTimeout
    │   └── DeadlineExceeded
    ├── StreamError
    │   ├── StreamCancelled          the consumer closed the stream
    │   └── StreamIdle               nothing moved for too long
    ├── StoreError
    │   ├── SequenceConflict         another writer was first
    │   └── StoreCorrupt             a file that is not what was written
    ├── GpuError
    │   ├── LayoutError              fields without a fixed layout, or values that do not fit it
    │   │   └── LayoutMismatch       two sides place a field differently
    │   ├── RegionCorrupt            shared memory that holds what neither side can have written
    │   │   └── BadMagic             it is no region of this version
    │   ├── RingOwned                a second producer or consumer of a block's rings
    │   ├── UnsupportedType          a number type that the target lacks
    │   ├── CompileError             a handler outside the language, with its line
    │   ├── CompilerFailed           the C++ or CUDA compiler refused the generated text
    │   └── DeviceFault              a handler stopped: assertion, bounds, division by zero
    └── InferenceError               see below: each class carries its own policy

An error carries its policy as data (``retryable``, ``http`` ...), so that nobody ever has to
look for words in a message.
"""

from __future__ import annotations

from typing import Any, ClassVar


class ActiniumError(Exception):
    """Base of all errors of this package.

    ``retryable`` says whether the same call may succeed later without a change;
    ``retry_after`` (seconds, on the instance) says when, where that is known.
    """

    retryable: ClassVar[bool] = False
    retry_after: float | None = None

    def fields(self) -> dict[str, Any]:
        """The structured part of the error, as plain data for logs and wires."""
        return {k: v for k, v in vars(self).items() if not k.startswith("_")}


class UsageError(ActiniumError, TypeError):
    """The program uses the API in a way that cannot work."""


class AskCycle(UsageError):
    """An ask would wait for itself: A asks B, which asks A."""


class ConfigError(ActiniumError, ValueError):
    """A setting is unknown, missing or of the wrong type."""


class RuntimeNotInferred(ConfigError):
    """No rule could choose a runner for a model name."""


class MissingCredentials(ConfigError):
    """The runner is known but no key for it is set."""


class MissingExtra(ActiniumError, ImportError):
    """An optional dependency is needed; the text holds the pip command."""

    def __init__(self, extra: str, needed_for: str) -> None:
        self.extra = extra
        super().__init__(f'{needed_for} needs an extra: pip install "actinium[{extra}]"')


class Unavailable(ActiniumError):
    """This cannot work on this machine or at this time; the text says why."""


class MessageError(ActiniumError):
    """A value cannot be a message."""


class NotAMessage(MessageError, TypeError):
    """A mutable object was sent as a message."""


class NotAccepted(MessageError):
    """The actor's admission names neither this message's class nor this sender."""


class NotEncodable(MessageError, TypeError):
    """A value cannot leave its process; the text says what can."""


class MessageTooLarge(MessageError, ValueError):
    """The message holds more bytes than its receiver, or the way to it, takes (``limit``)."""

    def __init__(self, text: str, size: int = 0, limit: int = 0) -> None:
        super().__init__(text)
        self.size = size
        self.limit = limit


class DecodeError(MessageError, ValueError):
    """Bytes from another process are no message of this one; the text says where."""


class ActorError(ActiniumError):
    """Base of errors about one actor."""


class ActorNotFound(ActorError, LookupError):
    """No actor lives at this path."""


class ActorStopped(ActorError):
    """The actor is stopped for good; its ref will never answer again."""


class ActorRestarted(ActorError):
    """The actor was restarted while it handled this ask."""

    retryable = True


class NameTaken(ActorError):
    """A sibling of this name is alive."""


class Unhandled(ActorError):
    """The actor has no handler for the type of this message."""


class SpawnError(ActorError):
    """The actor could not be made."""


class HandlerError(ActorError):
    """The handler of an ask failed; the cause is chained and in ``cause``."""

    def __init__(self, text: str, cause: BaseException | None = None) -> None:
        super().__init__(text)
        self.cause = cause


class ChildFailed(ActorError):
    """A supervisor could not decide about a child's failure and fails itself."""

    def __init__(self, text: str, cause: BaseException | None = None) -> None:
        super().__init__(text)
        self.cause = cause


class WorkerDied(ActorError):
    """A worker process ended, and with it what its actors held in memory.

    ``worker`` is its number, ``exitcode`` what it returned, ``signal`` the name of the signal
    that killed it (``SIGKILL``), ``stderr`` the last lines it wrote.
    """

    retryable = True

    def __init__(
        self,
        text: str,
        worker: int = 0,
        exitcode: int | None = None,
        signal: str | None = None,
        stderr: tuple[str, ...] = (),
    ) -> None:
        super().__init__(text)
        self.worker = worker
        self.exitcode = exitcode
        self.signal = signal
        self.stderr = stderr


class LinkedExit(ActorError):
    """An actor to which this one was linked ended abnormally."""


class SystemFailed(ActorError):
    """A failure reached the root guardian and the system was shut down."""


class Overloaded(ActiniumError):
    """Refused for lack of room; try again later."""

    retryable = True


class ActivationRefused(Overloaded):
    """As many entities are in memory as there may be, and none of them is idle."""


class MailboxFull(Overloaded):
    """The mailbox is at its capacity and its policy refuses."""


class RateExceeded(Overloaded):
    """More messages than the actor's rate admits; ``retry_after`` is exact."""


class MemoryLimit(Overloaded):
    """The payload that waits in the system is at its memory limit."""


class TooManyInFlight(Overloaded):
    """As many asks of one block wait for their replies as there are numbers for (65,536)."""


class CircuitOpen(Overloaded):
    """A breaker is open: the call was not tried."""


class StashFull(Overloaded):
    """The actor has set aside as many messages as it may."""


class Quarantined(Overloaded):
    """The actor is in quarantine; ``retry_after`` says when it may be back."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Timeout(ActiniumError, TimeoutError):
    """Something took longer than allowed."""

    retryable = True


class AskTimeout(Timeout):
    """No reply came within the time given to ``ask``."""


class DeadlineExceeded(Timeout):
    """The deadline passed before the message was handled."""

    retryable = False


class StreamError(ActiniumError):
    """Base of errors about one stream."""


class StreamCancelled(StreamError):
    """The consumer cancelled the stream."""


class StreamIdle(StreamError):
    """Nothing was produced, or nothing was read, for longer than the stream's idle limit."""


class StoreError(ActiniumError):
    """The store could not read or write."""


class SequenceConflict(StoreError):
    """A write expected another revision: somebody else wrote first."""

    def __init__(self, text: str, expected: int | None = None, found: int | None = None) -> None:
        super().__init__(text)
        self.expected = expected
        self.found = found


class StoreCorrupt(StoreError):
    """The store's file is damaged or is not a store."""


class GpuError(ActiniumError):
    """Something about actors and kernels that are compiled for a device."""


class LayoutError(GpuError, TypeError):
    """A declaration without a fixed layout, or a value that does not fit its field."""


class LayoutMismatch(LayoutError):
    """Two sides place a field differently; ``expected`` and ``got`` are (offset, bytes)."""

    def __init__(self, struct: str, field: str, expected: object, got: object) -> None:
        super().__init__(f"{struct}.{field}: expected (offset, bytes) {expected}, got {got}")
        self.struct = struct
        self.field = field
        self.expected = expected
        self.got = got


class RegionCorrupt(GpuError):
    """Memory that host and kernel share holds what neither can have written."""


class BadMagic(RegionCorrupt):
    """The memory is no region, or one of another version of the protocol."""


class RingOwned(GpuError, UsageError):
    """A block's rings have one producer and one consumer, and another one asked for them."""


class UnsupportedType(GpuError, TypeError):
    """A number type that the chosen target does not convert to in hardware."""

    def __init__(self, type_name: str, needs: str, where: str) -> None:
        super().__init__(
            f"{where}: native=True of {type_name} needs compute capability {needs}; "
            f"write gpu.{type_name}(x) without it, which is computed in software everywhere"
        )
        self.type_name = type_name
        self.needs = needs


class CompileError(GpuError, UsageError):
    """A program outside the language: where it is, what is wrong, and what to write.

    ``code`` names the kind of refusal; it is stable, the text is for people.
    """

    def __init__(
        self, code: str, text: str, write: str, file: str, line: int, column: int, source: str
    ) -> None:
        mark = f"\n    {source}\n    {' ' * column}^" if source else ""
        message = f"{file}:{line}: {text} [{code}]{mark}\n  write: {write}"
        super().__init__(message)
        self.code = code
        self.text = text
        self.write = write
        self.file = file
        self.line = line
        self.column = column


class CompilerFailed(GpuError):
    """A compiler refused generated text: a fault of this package. ``log`` is what it said."""

    def __init__(self, compiler: str, log: str) -> None:
        super().__init__(f"{compiler} refused the generated text:\n{log}")
        self.compiler = compiler
        self.log = log


class DeviceFault(GpuError):
    """A handler stopped: ``fault`` (assert, bounds, divide, budget, outbox) and its place."""

    def __init__(self, fault: str, file: str, line: int) -> None:
        super().__init__(f"{fault} at {file}:{line}")
        self.fault = fault
        self.file = file
        self.line = line


class GpuUnavailable(GpuError, Unavailable):
    """No GPU can be used here: ``reason`` says why, ``hint`` what would mend it."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(f"{reason}; {hint}" if hint else reason)
        self.reason = reason
        self.hint = hint


class ToolchainMismatch(GpuUnavailable):
    """NVRTC is newer than what the driver loads; both are versions of CUDA, such as (13, 0)."""

    def __init__(self, nvrtc: tuple[int, int], driver: tuple[int, int]) -> None:
        super().__init__(
            f"NVRTC is of CUDA {nvrtc[0]}.{nvrtc[1]}, and its code may not load with a driver of "
            f"CUDA {driver[0]}.{driver[1]}",
            f"update the driver, or install NVRTC and cuda-bindings {driver[0]}.{driver[1]}",
        )
        self.nvrtc = nvrtc
        self.driver = driver


class CapabilityMissing(GpuError):
    """The device lacks what a feature needs; ``needs`` and ``has`` are values of one fact of it."""

    def __init__(self, feature: str, fact: str, needs: object, has: object) -> None:
        super().__init__(f"{feature} needs a device with {fact} {needs}, this one has {has}")
        self.feature = feature
        self.fact = fact
        self.needs = needs
        self.has = has


class DoesNotFit(GpuError):
    """More blocks than can be resident at a time; ``limiting`` is what there is too little of."""

    def __init__(self, requested: int, most: int, limiting: str) -> None:
        super().__init__(
            f"a launch of {requested:,} blocks does not fit: {most:,} can be resident at a time, "
            f"limited by {limiting}; launch fewer instances, or more of them in each block"
        )
        self.requested = requested
        self.most = most
        self.limiting = limiting


class WouldBlockResident(GpuError):
    """A driver call that waits for the device, while a resident kernel keeps it busy."""

    def __init__(self, call: str) -> None:
        super().__init__(
            f"{call} may wait until the kernels of this process end, and a resident kernel does "
            "not; make the call before the launch, or in another process"
        )
        self.call = call


class DeviceLost(GpuError):
    """The device, or the process that held it, is gone with all state that was on it."""


class KernelHung(GpuError):
    """A resident kernel has not ended within ``after`` seconds of being told to."""

    def __init__(self, after: float, running: str = "") -> None:
        what = f" ({running})" if running else ""
        super().__init__(f"the kernel has not ended {after:g} s after its stop{what}")
        self.after = after
        self.running = running


class InferenceError(ActiniumError):
    """Base of errors on the way from a request to its tokens.

    Policy, as class data: ``counts_for_breaker`` (a sign that the endpoint is ill),
    ``falls_back`` (another deployment may be tried before the first content chunk),
    ``http`` (status at the gateway), ``wire_type`` and ``wire_code`` (OpenAI's error shape).
    """

    counts_for_breaker: ClassVar[bool] = False
    falls_back: ClassVar[bool] = False
    http: ClassVar[int] = 500
    wire_type: ClassVar[str] = "api_error"
    wire_code: ClassVar[str | None] = None
    param: str | None = None


class BadRequest(InferenceError):
    """The request is malformed; ``param`` names the field."""

    http = 400
    wire_type = "invalid_request_error"

    def __init__(self, text: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(text)
        self.param = param
        self.code = code


class Unsupported(BadRequest):
    """A valid feature that this runner or build does not have."""

    wire_code = "unsupported_parameter"


class ContextLengthExceeded(BadRequest):
    """Prompt and wished output do not fit the model's context."""

    wire_code = "context_length_exceeded"

    def __init__(self, tokens: int, limit: int, param: str = "messages") -> None:
        super().__init__(
            f"This model's maximum context length is {limit} tokens, but the request needs "
            f"{tokens}. Shorten the messages or lower max_tokens.",
            param,
        )
        self.tokens = tokens
        self.limit = limit


class ContentFiltered(BadRequest):
    """The provider refused the input."""

    wire_code = "content_filter"


class ModelNotFound(InferenceError, LookupError):
    """No deployment has this name."""

    http = 404
    wire_type = "invalid_request_error"
    wire_code = "model_not_found"
    param = "model"


class SessionNotFound(InferenceError, LookupError):
    """No session has this id."""

    http = 404
    wire_type = "invalid_request_error"
    wire_code = "session_not_found"


class SessionUnavailable(InferenceError):
    """A session's history could not be read or stored, so its turn was not answered."""

    retryable = True
    http = 503
    wire_type = "session_unavailable"
    wire_code = "session_unavailable"


class PayloadTooLarge(InferenceError):
    """The body is larger than the gateway accepts."""

    http = 413
    wire_type = "invalid_request_error"
    wire_code = "request_too_large"


class RateLimited(InferenceError, Overloaded):
    """A limit of requests or tokens is reached: the upstream's (a 429) or one of our own."""

    retryable = True
    falls_back = True
    http = 429
    wire_type = "rate_limit_error"
    wire_code = "rate_limit_exceeded"


class TenantLimited(InferenceError, Overloaded):
    """A tenant or a key is over its own limit; ``scope`` says whose, ``retry_after`` until when.

    Nothing else could take the request instead, so it is neither retried here nor passed on.
    """

    http = 429
    wire_type = "rate_limit_error"
    wire_code = "rate_limit_exceeded"

    def __init__(self, scope: str, limit: str, retry_after: float) -> None:
        super().__init__(f"{scope} is over its limit of {limit}; again in {retry_after:.3g} s")
        self.scope = scope
        self.limit = limit
        self.retry_after = retry_after


class AuthenticationFailed(InferenceError):
    """The client's key is missing, wrong, disabled or expired."""

    http = 401
    wire_type = "invalid_request_error"  # as OpenAI says it
    wire_code = "invalid_api_key"


class AccessDenied(InferenceError):
    """The client's key is right, and does not allow this."""

    http = 403
    wire_type = "permission_error"
    wire_code = "permission_denied"


class KeyNotFound(InferenceError, LookupError):
    """No key has this id."""

    http = 404
    wire_type = "invalid_request_error"
    wire_code = "key_not_found"


class Conflict(InferenceError):
    """What is there does not allow this change."""

    http = 409
    wire_type = "invalid_request_error"
    wire_code = "conflict"


class QuotaExhausted(InferenceError):
    """A purse or daily quota is empty; waiting a little does not help."""

    falls_back = True
    http = 429
    wire_type = "insufficient_quota"
    wire_code = "insufficient_quota"


class BudgetExceeded(InferenceError):
    """The money set for a deployment, a tenant or a key is used up; ``used`` and ``limit`` in USD.

    ``retry_after`` says when there is some again.
    """

    http = 402
    wire_type = "budget_exceeded"
    wire_code = "budget_exceeded"

    def __init__(
        self, scope: str, used: float, limit: float, period: str, resets_in: float
    ) -> None:
        super().__init__(
            f"the budget of {scope} is used up: {used:.6g} of {limit:.6g} USD per {period}; "
            f"again in {resets_in:.0f} s"
        )
        self.scope = scope
        self.used = used
        self.limit = limit
        self.period = period
        self.retry_after = resets_in


class UpstreamOpen(InferenceError, CircuitOpen):
    """A deployment failed too often and is left alone for ``retry_after`` seconds.

    Not retried: who waited for a breaker would hold a place for half a minute.
    """

    retryable = False
    falls_back = True
    http = 503
    wire_type = "upstream_unavailable"
    wire_code = "upstream_unavailable"


class EngineOverloaded(InferenceError, Overloaded):
    """Our own queue in front of a replica is full or its wait too long."""

    retryable = True
    falls_back = True
    http = 503
    wire_type = "overloaded_error"
    wire_code = "overloaded"


class LimitStoreDown(InferenceError, Overloaded):
    """The store that keeps a limit for many processes cannot be asked."""

    retryable = True
    falls_back = True
    http = 503
    wire_type = "overloaded_error"
    wire_code = "limit_store_down"


class ModelNotReady(InferenceError):
    """The model is loading, draining or gone."""

    retryable = True
    falls_back = True
    http = 503
    wire_type = "model_not_ready"
    wire_code = "model_not_ready"


class UpstreamAuth(InferenceError):
    """The upstream refused our credentials; never the client's fault, so never its 401."""

    falls_back = True
    http = 502
    wire_type = "upstream_authentication"
    wire_code = "upstream_authentication"


class NetworkError(InferenceError):
    """No connection to the upstream, or it was reset."""

    retryable = True
    counts_for_breaker = True
    falls_back = True
    http = 502
    wire_type = "upstream_error"
    wire_code = "upstream_unreachable"


class ServerError(InferenceError):
    """The upstream answered 5xx."""

    retryable = True
    counts_for_breaker = True
    falls_back = True
    http = 502
    wire_type = "upstream_error"
    wire_code = "upstream_error"

    def __init__(self, text: str, status: int = 500) -> None:
        super().__init__(text)
        self.status = status


class UpstreamOverloaded(ServerError):
    """The upstream has no room now (503, 529, ``overloaded_error``); ``retry_after`` if it says."""

    http = 503
    wire_type = "overloaded_error"
    wire_code = "upstream_overloaded"

    def __init__(self, text: str, status: int = 503) -> None:
        super().__init__(text, status)


class ProtocolError(InferenceError):
    """The upstream sent something that is not its protocol, or ended without a finish."""

    retryable = True
    counts_for_breaker = True
    falls_back = True
    http = 502
    wire_type = "upstream_error"
    wire_code = "upstream_protocol"


class UpstreamTimeout(InferenceError, Timeout):
    """The upstream was silent for too long in ``phase``: connect, first_byte, inter_chunk."""

    retryable = True
    counts_for_breaker = True
    falls_back = True
    http = 504
    wire_type = "upstream_error"
    wire_code = "upstream_timeout"

    def __init__(self, phase: str, seconds: float) -> None:
        super().__init__(f"the upstream sent nothing for {seconds:g} s ({phase})")
        self.phase = phase
        self.seconds = seconds


class RequestDeadline(InferenceError, DeadlineExceeded):
    """The caller's total time is over."""

    retryable = False
    http = 504
    wire_type = "api_error"
    wire_code = "deadline_exceeded"


class StreamInterrupted(InferenceError):
    """The answer broke off after content had been sent; it is never sent again."""

    http = 502
    wire_type = "upstream_error"
    wire_code = "stream_interrupted"

    def __init__(self, cause: BaseException, chunks_sent: int) -> None:
        super().__init__(f"the answer broke off after {chunks_sent} chunks: {cause}")
        self.cause = cause
        self.chunks_sent = chunks_sent
