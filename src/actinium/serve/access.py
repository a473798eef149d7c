"""Who may come in: the gateway's own key, and the virtual keys of tenants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from actinium.base.secret import Secret
from actinium.errors import AccessDenied, AuthenticationFailed

from .context import Context
from .http.message import HttpRequest

if TYPE_CHECKING:
    from actinium.inference.tenants import Keyring

Scope = Literal["open", "use", "operate", "admin"]
"""``open``: everybody, even without a key; ``use``: any key; ``operate``: the operator's keys, and
where none is needed everybody; ``admin``: the admin API's token and nothing else."""

_SEEN: Final = 4096
_LONGEST: Final = 512
"""Bytes of a header that is remembered: one key can be written with any number of blanks."""
_MISSING: Final = "the API key is missing; send 'Authorization: Bearer <key>' or 'x-api-key: <key>'"
_WRONG: Final = (
    "the API key is missing or wrong; send 'Authorization: Bearer <key>' or 'x-api-key: <key>'"
)


class Visitor:
    """Whom a key belongs to. ``context`` is what handlers work with for it, ``until`` Unix time."""

    __slots__ = ("admin", "context", "operator", "until")

    def __init__(
        self, context: Context, *, operator: bool = False, admin: bool = False,
        until: float | None = None,
    ) -> None:  # fmt: skip
        self.context = context
        self.admin = admin
        self.operator = operator
        self.until = until


class Access:
    """Looks at the keys of requests.

    ``api_key`` is the operator's, ``admin`` the admin API's token, which opens everything;
    ``keyring`` holds the keys of tenants. Without ``api_key`` and ``keyring`` everything but the
    admin API is open.

    A key that was right is found again by the header it came in, without hashing it anew; that
    memory ends with each change of any key. How long a look-up takes tells nothing of a key:
    Python's dictionaries go by a hash (SipHash) that is keyed anew in each process, and a key of
    a tenant is compared as SHA-256 only.
    """

    def __init__(
        self,
        context: Context,
        *,
        api_key: Secret | None = None,
        keyring: Keyring | None = None,
        admin: Secret | None = None,
    ) -> None:
        self._context = context
        self._keyring = keyring
        self._public = api_key is None and keyring is None
        self._known_to_us = [
            (secret, Visitor(context, operator=True, admin=secret is admin))
            for secret in (admin, api_key)
            if secret is not None
        ]
        self._version = -1
        self._bearers: dict[bytes, Visitor] = {}
        self._plain: dict[bytes, Visitor] = {}

    def enter(self, request: HttpRequest, scope: Scope) -> None:
        """Sets the request's visitor. Raises AuthenticationFailed, AccessDenied."""
        if scope == "open" or (self._public and scope != "admin"):
            return
        keyring = self._keyring
        if keyring is not None and keyring.version != self._version:
            self._version = keyring.version
            self._bearers.clear()
            self._plain.clear()
        headers = request.headers
        value = headers.get(b"authorization")
        if value:
            visitor = self._bearers.get(value)
        else:
            value = headers.get(b"x-api-key", b"")
            visitor = self._plain.get(value)
        if visitor is None or (
            visitor.until is not None and keyring is not None and keyring.now() >= visitor.until
        ):
            visitor = self._look_up(request)
        if scope == "operate" and not visitor.operator:
            raise AccessDenied("this key may use models; what was asked for is the operator's")
        if scope == "admin" and not visitor.admin:
            raise AccessDenied("this key is not the token of the admin API")
        request.visitor = visitor

    def may_see_all(self, request: HttpRequest) -> bool:
        """Whether an open endpoint may tell a client of all deployments: not where some of them
        are for some tenants only."""
        if self._keyring is None:
            return True
        try:
            self.enter(request, "operate")
        except (AuthenticationFailed, AccessDenied):
            return False
        return True

    def _look_up(self, request: HttpRequest) -> Visitor:
        """Finds a key by what it is, and remembers it where it is right."""
        raw = request.headers.get(b"authorization", b"")
        if raw:
            seen = self._bearers
            scheme, _, key = raw.partition(b" ")
            if scheme.lower() != b"bearer":
                raise AuthenticationFailed(_WRONG)
        else:
            seen = self._plain
            raw = key = request.headers.get(b"x-api-key", b"")
        key = key.strip()
        if not key:
            raise AuthenticationFailed(_MISSING)
        visitor = self._known(key)
        if len(raw) > _LONGEST:
            return visitor
        if len(seen) >= _SEEN:
            seen.clear()
        seen[raw] = visitor
        return visitor

    def _known(self, key: bytes) -> Visitor:
        for secret, visitor in self._known_to_us:
            if secret.matches(key):
                return visitor
        if self._keyring is None:
            raise AuthenticationFailed(_WRONG)
        grant = self._keyring.find(key)
        context = self._context.for_service(grant.inference, grant.headers)
        return Visitor(context, until=grant.until)
