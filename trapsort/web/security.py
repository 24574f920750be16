"""Who may ask what: Host, origin, login, the token of writes, how long a body may be and take.

Everything is decided before the application sees the request, and every answer leaves with the
headers that keep a browser from doing more with it than the page needs.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import time
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

API = "/api/"
UPLOAD = "/api/v1/classify"
LOGIN = "/login"
STATIC = "/static/"
UPLOAD_BYTES = 64 << 20
BODY_BYTES = 1 << 20
HEADER = "X-Trapsort-Token"
READS = ("GET", "HEAD", "OPTIONS")
OURS = ("same-origin", "none")  # Sec-Fetch-Site of the page itself, and of a typed address

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

router = APIRouter(include_in_schema=False)


def login_token() -> str:
    """Return a token that people can type: 100 random bits in five groups of letters and digits."""
    letters = "abcdefghijkmnpqrstuvwxyz23456789"  # 32; l, o, 0 and 1 look like others
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(5))


@dataclass(frozen=True, slots=True)
class Secrets:
    """What this run of the server knows alone; `login` None: nobody has to log in."""

    login: str | None = field(default=None, repr=False)
    write: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    visit: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    entered: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)


class _RefusedError(Exception):
    def __init__(self, status: int, error: str, hint: str = "") -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.hint = hint


@router.post(LOGIN)
async def enter(
    request: Request, token: Annotated[str, Form(max_length=200)] = ""
) -> RedirectResponse:
    """Log in with the token that the terminal shows; the page `login` sends this form."""
    known: Secrets = request.state.secrets
    if known.login is None or _same(token.strip().lower(), known.login):
        answer = RedirectResponse("/", 303)
        _set_cookie(answer.headers, _cookie_name(request.headers, "login"), known.entered)
        return answer
    return RedirectResponse(f"{LOGIN}?wrong=1", 303)


class Guard:
    """The outermost layer of the application."""

    def __init__(
        self, app: ASGIApp, *, hosts: frozenset[str], secrets: Secrets, body_seconds: float
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._secrets = secrets
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        body = _Body(receive, _limit(scope), self._body_seconds)
        answer = _Answer(send, body)
        try:
            cookies = self._check(scope, headers)
            if not _same(cookies.get(_cookie_name(headers, "visit"), ""), self._secrets.visit):
                answer.cookie = (_cookie_name(headers, "visit"), self._secrets.visit)
            body.check_length(headers.get("content-length"))
            # `request.state.token` is what pages hand to their scripts.
            scope.setdefault("state", {})
            scope["state"] |= {"secrets": self._secrets, "token": self._secrets.write}
            await self._app(scope, body.receive, answer.send)
        except _RefusedError as refused:
            is_page = refused.status == 401 and scope["method"] == "GET"
            to = LOGIN if is_page and not scope["path"].startswith(API) else ""
            await answer.refuse(refused, to)

    def _check(self, scope: Scope, headers: Headers) -> dict[str, str]:
        """Return the cookies of a request that may go on; raise `_RefusedError` for others."""
        host = self._host(headers)
        path, method = str(scope["path"]), str(scope["method"])
        if path.startswith(API) and headers.get("sec-fetch-site", "none") not in OURS:
            raise _RefusedError(403, "another site asked for this", "open trapsort's own page")
        cookies = _cookies(headers)
        is_bearer = self._is_bearer(headers)
        if self._secrets.login is not None and not is_bearer:
            self._check_login(path, headers, cookies)
        if method not in READS:
            if headers.get("origin", f"http://{host}") not in (f"http://{host}", f"https://{host}"):
                raise _RefusedError(403, "another site asked for this", "open trapsort's own page")
            if path != LOGIN and not is_bearer:
                self._check_token(headers, cookies)
        return cookies

    def _host(self, headers: Headers) -> str:
        named = headers.getlist("host")
        if len(named) != 1:
            raise _RefusedError(400, "a request names one Host")
        if named[0].lower() not in self._hosts:
            raise _RefusedError(
                421,
                "this server does not go by that name",
                "use the address that `trapsort web` printed, or start it with --allow-host NAME",
            )
        return named[0].lower()

    def _is_bearer(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        known = self._secrets.login
        return known is not None and kind.lower() == "bearer" and _same(given.strip(), known)

    def _check_login(self, path: str, headers: Headers, cookies: dict[str, str]) -> None:
        given = cookies.get(_cookie_name(headers, "login"), "")
        if path == LOGIN or path.startswith(STATIC) or _same(given, self._secrets.entered):
            return
        raise _RefusedError(
            401, "nobody is logged in", f"open {LOGIN} and type the terminal's token"
        )

    def _check_token(self, headers: Headers, cookies: dict[str, str]) -> None:
        given = headers.get(HEADER, ""), cookies.get(_cookie_name(headers, "visit"), "")
        known = self._secrets.write, self._secrets.visit
        if not all(_same(*pair) for pair in zip(given, known, strict=True)):
            raise _RefusedError(
                403,
                f"the token in {HEADER} is missing or that of another run of the server",
                "load the page again; programs get it from /api/v1/session, with its cookie",
            )


class _Body:
    """What arrives of a request, up to a size and a time."""

    def __init__(self, receive: Receive, limit: int, seconds: float) -> None:
        self._receive = receive
        self._limit = limit
        self._until = time.monotonic() + seconds
        self._bytes = 0
        self._is_whole = False
        self.refused: _RefusedError | None = None

    def check_length(self, length: str | None) -> None:
        if length is not None and int(length) > self._limit:  # the server let digits only pass
            raise self._too_long()

    async def receive(self) -> Message:
        if self._is_whole:
            return await self._receive()
        try:
            left = max(0.0, self._until - time.monotonic())
            message = await asyncio.wait_for(self._receive(), left)
        except TimeoutError:
            self.refused = _RefusedError(
                408, "the request took too long to arrive", "send it again"
            )
            return {"type": "http.disconnect"}
        self._bytes += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        if self._bytes > self._limit:
            self.refused = self._too_long()
            return {"type": "http.disconnect"}
        return message

    def _too_long(self) -> _RefusedError:
        return _RefusedError(
            413, f"more than {self._limit >> 20} MB", "send less, or a smaller photo"
        )


class _Answer:
    """What leaves: the application's answer with our headers, or a refusal in its place."""

    def __init__(self, send: Send, body: _Body) -> None:
        self._send = send
        self._body = body
        self._is_begun = False
        self._is_refused = False
        self.cookie: tuple[str, str] | None = None

    async def send(self, message: Message) -> None:
        if self._is_refused:
            return
        if message["type"] == "http.response.start":
            if self._body.refused is not None:
                await self.refuse(self._body.refused)
                return
            self._is_begun = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
            if self.cookie is not None:
                _set_cookie(headers, *self.cookie)
        await self._send(message)

    async def refuse(self, refused: _RefusedError, to: str = "") -> None:
        """Refuse, or send a person `to` another page."""
        self._is_refused = True
        if self._is_begun:
            return
        data = json.dumps({"error": refused.error, "hint": refused.hint}).encode()
        headers = {
            **HEADERS,
            "Cache-Control": "no-store",
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            "Connection": "close",
        }
        headers |= {"Location": to} if to else {}
        lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        start = {
            "type": "http.response.start",
            "status": 303 if to else refused.status,
            "headers": lines,
        }
        await self._send(start)
        await self._send({"type": "http.response.body", "body": data})


def _limit(scope: Scope) -> int:
    return UPLOAD_BYTES if scope["path"] == UPLOAD else BODY_BYTES


def _same(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode(), known.encode())


def _cookie_name(headers: Headers, what: str) -> str:
    """Name a cookie by port: a browser sends the cookies of one port to all ports of a host."""
    return f"trapsort-{what}-{headers.get('host', '').rpartition(':')[2] or '80'}"


def _cookies(headers: Headers) -> dict[str, str]:
    try:
        return {name: each.value for name, each in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}


def _set_cookie(headers: MutableHeaders, name: str, value: str) -> None:
    headers.append("Set-Cookie", f"{name}={value}; Path=/; HttpOnly; SameSite=Strict")
