"""Who may come in, and what every answer carries: deny by default, for every address but ``/healthz``.

Programs send ``Authorization: Bearer <token>``. Browsers open a page with ``?token=<token>`` once, or type the token
into the sign-in page, and get a cookie: HttpOnly, SameSite=Strict, good for twelve hours, and not the token itself.
Either way they come to the page that they asked for.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from html import escape
from urllib.parse import parse_qs, parse_qsl, urlencode

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboards.problems import ApiError, problem_response

_log = structlog.get_logger(__name__)
COOKIE = "zhida_session"
SESSION_SECONDS = 12 * 3600
OPEN_PATHS = frozenset({"/healthz"})
SIGN_IN_PATH = "/sign-in"
_FORM_LIMIT = 4096
_REFUSALS_SECONDS = 10.0
#: The pages by name; ``/`` leads to the first. An unknown visitor of one is shown the sign-in page instead of JSON.
PAGES = ("live", "quality")
_PAGE_PATHS = frozenset({"/", *(f"/{name}" for name in PAGES)})
#: A page's own question that is longer is not carried through the sign-in.
_QUESTION_LIMIT = 500

_SIGN_IN_STYLE = (
    "body{font:16px/1.6 system-ui,'PingFang SC','Microsoft YaHei','Noto Sans CJK SC',sans-serif;background:#f3f5f9;"
    "color:#17233c;display:grid;place-items:center;min-height:100vh;margin:0}"
    "form{background:#fff;padding:2rem;border-radius:12px;box-shadow:0 2px 16px #17233c1a;width:min(22rem,86vw)}"
    "h1{font-size:1.25rem;margin:0 0 1rem}label{display:block;margin-bottom:.35rem}small{color:#5b6780}"
    "input{box-sizing:border-box;width:100%;font:inherit;padding:.5rem .7rem;border:1px solid #b8c2d6;"
    "border-radius:8px}"
    "button{font:inherit;width:100%;margin-top:1rem;padding:.55rem;border:0;border-radius:8px;background:#1d4fa8;"
    "color:#fff}"
    "p{color:#a61b1b;margin:.8rem 0 0}"
)
_SIGN_IN_PAGE = """<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>直达 · 登录</title><style>{style}</style></head>
<body><form method="post" action="{action}">
<h1>直达 <small>Zhida</small></h1>
<label for="token">访问令牌 <small>Access token</small></label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<input name="page" type="hidden" value="{page}">
<button type="submit">登录 Sign in</button>{reason}
</form></body></html>"""


def _content_security_policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_SIGN_IN_STYLE.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self' 'sha256-{digest}'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


SECURITY_HEADERS: dict[str, str] = {
    "Content-Security-Policy": _content_security_policy(),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Sessions:
    """Session cookies ``<expiry>.<mac>``: nothing to store, worthless after expiry and after a change of the token."""

    def __init__(self, token: str, clock: Callable[[], float]) -> None:
        self._token = hashlib.sha256(token.encode()).digest()
        self._key = hmac.digest(token.encode(), b"zhida session cookie", "sha256")
        self._clock = clock

    def is_token(self, candidate: str) -> bool:
        """True for the token; takes the same time for every wrong one, whatever its length."""
        return hmac.compare_digest(hashlib.sha256(candidate.encode("utf-8", "replace")).digest(), self._token)

    def issue(self) -> str:
        """A new cookie value."""
        expiry = str(int(self._clock()) + SESSION_SECONDS)
        return f"{expiry}.{self._mac(expiry)}"

    def is_session(self, cookie: str) -> bool:
        """True for a cookie value that was issued here and has not expired."""
        expiry, _, mac = cookie.partition(".")
        if not hmac.compare_digest(mac.encode("utf-8", "replace"), self._mac(expiry).encode()):
            return False
        return expiry.isascii() and expiry.isdigit() and int(expiry) > self._clock()

    def _mac(self, expiry: str) -> str:
        return hmac.new(self._key, expiry.encode("utf-8", "replace"), "sha256").hexdigest()


class Guard:
    """The outermost layer of the service: lets in, sends away, and puts the security headers on every answer.

    The name of who came in is put into ``scope["state"]["who"]``: ``api-token`` or ``page-session``.
    """

    def __init__(self, app: ASGIApp, *, sessions: Sessions, clock: Callable[[], float]) -> None:
        self._app = app
        self._sessions = sessions
        self._clock = clock
        self._refused = 0
        self._told = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, _with_security_headers(send))
        else:
            # There are no web sockets here; closing before accepting is answered with 403.
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        who = self._who(Headers(scope=scope))
        if path in OPEN_PATHS or who:
            scope.setdefault("state", {})["who"] = who or "anyone"
        if path in _PAGE_PATHS and (token := _query_token(scope)) is not None:
            await self._enter(scope, token, _asked_page(scope))(scope, receive, send)
        elif path == SIGN_IN_PATH and scope["method"] == "POST":
            form = await _form(receive)
            await self._enter(scope, form.get("token", ""), form.get("page", ""))(scope, receive, send)
        elif path in OPEN_PATHS or who:
            await self._app(scope, receive, send)
        elif path in _PAGE_PATHS and scope["method"] in {"GET", "HEAD"}:
            await _sign_in(_asked_page(scope), "")(scope, receive, send)
        else:
            self._count_refusal(scope)
            denied = ApiError(401, "unauthorised", "未登录或令牌无效", "no valid token")
            await problem_response(denied, {"WWW-Authenticate": 'Bearer realm="zhida"'})(scope, receive, send)

    def _who(self, headers: Headers) -> str | None:
        authorization = headers.get("authorization")
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            return "api-token" if scheme.lower() == "bearer" and self._sessions.is_token(token.strip()) else None
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        return "page-session" if cookie and self._sessions.is_session(cookie) else None

    def _count_refusal(self, scope: Scope) -> None:
        """Say how many were turned away, at most once in ten seconds: a guesser must not fill the log."""
        self._refused += 1
        now = self._clock()
        if now - self._told >= _REFUSALS_SECONDS:
            source = scope["client"][0] if scope.get("client") else ""
            _log.warning("visitors without a valid token were turned away", count=self._refused, last_from=source)
            self._refused, self._told = 0, now

    def _enter(self, scope: Scope, token: str, page: str) -> Response:
        """Exchange the token for a cookie and send the browser on to *page*, an address that no longer holds it."""
        if not self._sessions.is_token(token):
            self._count_refusal(scope)
            reason = "<p>令牌无效，请重新输入。 The token is not valid.</p>"
            return _sign_in(_own_page(page), reason)
        response = RedirectResponse(_own_page(page), status_code=303)
        response.set_cookie(
            COOKIE,
            self._sessions.issue(),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=scope["scheme"] == "https",
        )
        return response


def _asked_page(scope: Scope) -> str:
    return _own_page(scope["path"].lstrip("/") + "?" + scope["query_string"].decode("latin-1"))


def _own_page(address: str) -> str:
    """*address* as one of ours with its question and without the token; whatever else it names, the first page."""
    name, _, question = address.partition("?")
    if name not in PAGES:
        return PAGES[0]
    if len(question) > _QUESTION_LIMIT:
        return name
    kept = urlencode([(key, value) for key, value in parse_qsl(question) if key != "token"])
    return f"{name}?{kept}" if kept else name


def _sign_in(page: str, reason: str) -> Response:
    action = SIGN_IN_PATH.lstrip("/")
    shown = _SIGN_IN_PAGE.format(style=_SIGN_IN_STYLE, action=action, page=escape(page), reason=reason)
    return HTMLResponse(shown, status_code=401, headers={"Cache-Control": "no-store"})


async def _form(receive: Receive) -> dict[str, str]:
    """The fields of a submitted form, or none when the form is longer than a form of ours can be."""
    body = b""
    more = True
    while more and len(body) <= _FORM_LIMIT:
        message = await receive()
        if message["type"] != "http.request":
            return {}
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if more or len(body) > _FORM_LIMIT:
        return {}
    try:
        return {name: values[0] for name, values in parse_qs(body.decode("latin-1"), max_num_fields=4).items()}
    except ValueError:
        return {}


def _query_token(scope: Scope) -> str | None:
    values = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True).get("token")
    return values[0] if values else None


def _with_security_headers(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return with_headers
