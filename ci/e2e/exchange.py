"""One HTTP exchange over a bare socket: request and answer exactly as they are on the wire."""

import base64
import json
import re
import socket

PATIENCE = 20.0


class Answer:
    """Status, headers by lower-case name, body with its chunks joined, and whether it ended."""

    def __init__(self, status, headers, body=b"", ended=True):
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body
        self.ended = ended
        self.events = None

    @classmethod
    def of_stream(cls, headers, events):
        """An answer that somebody else already took apart into events."""
        answer = cls(200, headers, ended={"type": "CLOSED"} in events)
        answer.events = [event for event in events if event["type"] != "CLOSED"]
        return answer

    def records(self):
        """The events of a stream of JSON records."""
        if self.events is not None:
            return self.events
        found, rest = [], self.body
        while rest:
            length, _, rest = rest.partition(b"\n")
            record, rest = rest[:int(length)], rest[int(length):]
            if len(record) == int(length):
                found.append(json.loads(record))
        return found


def exchange(url, request, until=(), **fields):
    """Sends a recorded request, with `{name}` in its path replaced from `fields`.

    A stream is read until it ends or each kind of event in `until` came; without kinds, until
    something came.
    """
    address = url.removeprefix("http://")
    path = re.sub(r"\{(\w+)\}", lambda found: fields[found.group(1)], request["path"])
    body = base64.b64decode(request.get("body_base64", "")) or request.get("body", "").encode()
    headers = {"Host": address, **request["headers"]}
    if body:
        headers["Content-Length"] = str(len(body))
    lines = [f"{request['method']} {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return send(url, "\r\n".join(lines).encode() + b"\r\n\r\n" + body, until,
                no_body=request["method"] == "HEAD")


def send(url, data, until=(), no_body=False):
    """Sends bytes and reads one answer; `None` when the connection ends without one."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(data)
        stream = connection.makefile("rb")
        try:
            return _read(stream, until, no_body)
        except ConnectionResetError:
            return None


def _read(stream, until, no_body):
    first = stream.readline()
    if not first:
        return None
    headers = {}
    for line in iter(stream.readline, b"\r\n"):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip()] = value.strip()
    answer = Answer(int(first.split()[1]), headers)
    if no_body:
        return answer
    if "transfer-encoding" in answer.headers:
        _read_chunks(stream, answer, set(until))
    else:
        answer.body = stream.read(int(answer.headers.get("content-length", 0)))
    return answer


def _read_chunks(stream, answer, until):
    answer.ended = False
    is_json = answer.headers.get("content-type") == "application/json"
    while True:
        size = int(stream.readline(), 16)
        answer.body += stream.read(size)
        stream.readline()
        if size == 0:
            answer.ended = True
            return
        came = {event["type"] for event in answer.records()} if is_json else None
        # An event that ends its stream is not enough: the end itself must be seen too.
        if not is_json or (came >= until and "ERROR" not in came):
            return
