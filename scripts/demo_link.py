#!/usr/bin/python3
"""Opens a link to a moment as a browser would, without one: signs in, is given the application, and
asks for the screen of that moment, which must hold a word; a millisecond before, it must not.

Usage: demo_link.py LINK NAME PASSWORD WORD
"""

import json
import sys
import urllib.parse
import urllib.request


def ask(url, cookie="", body=None, origin=""):
    request = urllib.request.Request(url, method="GET" if body is None else "POST")
    if cookie:
        request.add_header("Cookie", cookie)
    if body is not None:
        request.add_header("Origin", origin)
        request.add_header("Content-Type", "application/json")
        request.data = json.dumps(body).encode()
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.headers, answer.read().decode()


def screen(origin, cookie, session, at_ms):
    path = f"/v1/sessions/{session}/frames?from_ms={at_ms}&until_ms={at_ms}"
    _, answer = ask(origin + path, cookie)
    rows = json.loads(answer)["frames"][0]["rows"]
    return "\n".join("".join(run[2] for run in runs) for _, runs in rows)


def main():
    link, name, password, word = sys.argv[1:]
    parts = urllib.parse.urlsplit(link)
    origin = f"{parts.scheme}://{parts.netloc}"
    at_ms = round(float(parts.fragment.removeprefix("t=")) * 1000)
    body = {"user": name, "password": password, "code": ""}
    headers, _ = ask(f"{origin}/v1/sign-in", body=body, origin=origin)
    cookie = headers["Set-Cookie"].split(";")[0]
    headers, page = ask(origin + parts.path, cookie)
    if "text/html" not in headers["Content-Type"] or "<script" not in page:
        sys.exit("the address does not lead to the application")
    session = parts.path.rsplit("/", 1)[1]
    there = screen(origin, cookie, session, at_ms)
    if word not in there:
        sys.exit(f"the screen at {at_ms} ms has no {word}: {there}")
    before = screen(origin, cookie, session, at_ms - 1)
    if word in before:
        sys.exit(f"{word} stood there before {at_ms} ms")


if __name__ == "__main__":
    main()
