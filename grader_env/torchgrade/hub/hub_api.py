"""The hub's REST API, as far as the roster needs it."""

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from torchgrade.errors import CourseError

PAGE = 200
SECONDS = 30


class NotRunning(Exception):
    """Nobody answers at the hub's port."""


def is_served(address: str) -> bool:
    """Whether people reach the hub: it answers for itself before its services are up and its proxy knows the way."""
    parts = urllib.parse.urlsplit(address)
    ours = f"{parts.scheme}://127.0.0.1:{parts.port or (443 if parts.scheme == 'https' else 80)}/hub/api/"
    # The certificate is made out to a name, and we ask by number.
    unchecked = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), unchecked)
    try:
        with direct.open(urllib.request.Request(ours, headers={"Host": parts.netloc}), timeout=SECONDS) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class HubApi:
    def __init__(self, port: int, token: str, host: str = "127.0.0.1"):
        self._url, self._token = f"http://{host}:{port}/hub/api", token

    def users(self) -> set[str]:
        found: list[Any] = []
        while True:  # the hub answers in pages
            page = self._call("GET", f"/users?limit={PAGE}&offset={len(found)}")
            found += page
            if len(page) < PAGE:
                return {user["name"] for user in found}

    def add_users(self, names: set[str]) -> None:
        self._call("POST", "/users", {"usernames": sorted(names)})

    def remove_user(self, name: str) -> None:
        """Their sessions and tokens end, too; their files stay."""
        self._call("DELETE", f"/users/{_quoted(name)}")

    def stop_server(self, name: str) -> bool:
        """True once there is no server; the hub needs a while, so ask again."""
        return self._call("DELETE", f"/users/{_quoted(name)}/server", allowed=(202, 204, 404)) != 202

    def members(self, group: str) -> set[str]:
        return set(self._call("GET", f"/groups/{_quoted(group)}")["users"])

    def add_members(self, group: str, names: set[str]) -> None:
        self._call("POST", f"/groups/{_quoted(group)}/users", {"users": sorted(names)})

    def remove_members(self, group: str, names: set[str]) -> None:
        self._call("DELETE", f"/groups/{_quoted(group)}/users", {"users": sorted(names)})

    def _call(self, method: str, path: str, body: Any = None, allowed: tuple[int, ...] = ()) -> Any:
        """The answer as data; its status where that is `allowed`. Raises NotRunning, or CourseError on a refusal."""
        request = urllib.request.Request(
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self._token}", "Content-Type": "application/json"},
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(request, timeout=SECONDS) as answer:
                content = answer.read()
                return answer.status if allowed else json.loads(content or "null")
        except urllib.error.HTTPError as error:
            if error.code in allowed:
                return error.code
            raise CourseError(
                f"the hub refused {method} {path.split('?')[0]} ({error.code} {error.reason}).",
                remedy="Is it the hub of this folder? Its log says why.",
            ) from None
        except (urllib.error.URLError, OSError) as error:
            raise NotRunning(str(error)) from None


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")
