#!/usr/bin/env python3
"""push.py: pushes an OCI layout to a registry on loopback: push.py LAYOUT HOST:PORT/NAME [TAG]

Sends manifests with the media type they have, byte for byte; the entry pushed is the layout's
only one, or the one named TAG.
"""
import json
import pathlib
import sys
import urllib.request


def request(method, url, data=None, ctype="application/octet-stream"):
    """One request; the answer's headers. Raises for every status but 2xx."""
    req = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": ctype})
    with urllib.request.urlopen(req) as answer:
        answer.read()
        return answer.headers


class Push:
    """A repository to push to, and the layout that is pushed."""

    def __init__(self, layout, name):
        host, _, path = name.partition("/")
        self.base = f"http://{host}/v2/{path}"
        self.blobs = pathlib.Path(layout) / "blobs" / "sha256"

    def blob(self, desc):
        """Uploads one blob in a single piece."""
        data = (self.blobs / desc["digest"].split(":")[1]).read_bytes()
        where = request("POST", self.base + "/blobs/uploads/", b"")["Location"]
        mark = "&" if "?" in where else "?"
        request("PUT", f"{where}{mark}digest={desc['digest']}", data)

    def manifest(self, desc, tag):
        """Uploads what a manifest or index names, then itself."""
        data = (self.blobs / desc["digest"].split(":")[1]).read_bytes()
        doc = json.loads(data)
        for child in doc.get("manifests", []):
            self.manifest(child, child["digest"])
        for blob in [doc["config"]] + doc["layers"] if "layers" in doc else []:
            self.blob(blob)
        request("PUT", f"{self.base}/manifests/{tag}", data, desc["mediaType"])


def main(layout, name, tag="latest"):
    """Pushes the entry."""
    with open(f"{layout}/index.json", encoding="utf-8") as f:
        entries = json.load(f)["manifests"]
    ref = "org.opencontainers.image.ref.name"
    entry = next((e for e in entries if e.get("annotations", {}).get(ref) == tag), entries[0])
    Push(layout, name).manifest(entry, tag)


main(*sys.argv[1:])
