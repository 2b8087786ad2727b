"""The table [cluster] of class.toml."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from torchgrade.hub.description import Cluster

NEEDED = ("address", "student_image", "grader_image", "storage_class", "exchange", "homes", "backups")
CLUSTER_KEYS: Mapping[str, tuple[type, bool]] = {**dict.fromkeys(NEEDED, (str, True)), "releases": (str, False)}
# A registry and a path, then a tag or a digest.
IMAGE = re.compile(r"[a-z0-9][\w.:/-]*/[\w./-]+(:(?P<tag>[\w][\w.-]{0,127})|@sha256:[0-9a-f]{64})")


def read_cluster(file: Any) -> Cluster:
    """file: class.toml as class_file reads it. Raises CourseError, which names the line."""
    given = {key: file.value("cluster", key, str) for key in NEEDED}
    releases = file.value("cluster", "releases", str, "").strip()
    for key, address in {"address": given["address"], **({"releases": releases} if releases else {})}.items():
        if urlsplit(address).scheme != "https" or not urlsplit(address).hostname:
            raise file.error(key, f"{address!r} is no address.", "Write https://NAME and what follows.")
    if urlsplit(given["address"]).path.strip("/") or urlsplit(given["address"]).port:
        raise file.error("address", f"{given['address']!r} is more than a name.", "Write https://NAME alone.")
    for key in ("student_image", "grader_image"):
        found = IMAGE.fullmatch(given[key])
        if not found or found["tag"] == "latest":
            raise file.error(key, f"{given[key]!r} names no exact image.", "Write REGISTRY/NAME:TAG; latest is no tag.")
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", given["storage_class"]):
        raise file.error("storage_class", f"{given['storage_class']!r} is no storage class.", "See: kubectl get sc")
    for key in ("exchange", "homes", "backups"):
        if not re.fullmatch(r"[1-9][0-9]*[GT]", given[key]):
            raise file.error(key, f"{given[key]!r} is no size of a volume.", "Write it as 20G or 1T.")
    return Cluster(**{**given, "address": given["address"].rstrip("/"), "releases": releases})
