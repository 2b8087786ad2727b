"""Act as another unix user for a while, so that files belong to whom they should."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager

from torchgrade.errors import CourseError


@contextmanager
def acting_as(name: str | None) -> Iterator[None]:
    """Files made within the block belong to `name`. None: stay who you are. Needs root otherwise."""
    if name is None:
        yield
        return
    user, me, group, others = account(name), os.geteuid(), os.getegid(), os.getgroups()
    if me == user.pw_uid:
        yield
        return
    if me != 0:
        raise CourseError(f"this has to be done as {name}.", remedy="Run it as root (sudo).")
    os.setgroups([])
    os.setegid(user.pw_gid)
    os.seteuid(user.pw_uid)
    try:
        yield
    finally:
        os.seteuid(me)
        os.setegid(group)
        os.setgroups(others)


def account(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise CourseError(f"there is no unix user {name}.", remedy="Run as root: torchgrade hub prepare") from None
