"""Facts about a real Mesos' HTTP that are easily got wrong, asked of a running master and agent."""

import base64
import json

from exchange import exchange, send

JSON = {"Content-Type": "application/json", "Accept": "application/json"}
TEXT = "text/plain; charset=utf-8"


def ask(url, method, path, headers=None, body=""):
    return exchange(url, {"method": method, "path": path, "headers": headers or {}, "body": body})


def post(url, path, call, headers=None):
    return ask(url, "POST", path, {**JSON, **(headers or {})}, json.dumps(call))


def expect(what, answer, status, text=None):
    assert answer is not None, f"{what}: the connection ended"
    assert answer.status == status, (what, answer.status, answer.body[:300])
    if status >= 400:
        assert answer.headers["content-type"] == TEXT, (what, answer.headers)
    if text is not None:
        assert answer.body == text, (what, answer.body[:300])


def check(cluster, scheduler, sandbox):
    """All facts; `scheduler` is subscribed, and `sandbox` is the folder of one of its executors."""
    methods_and_paths(cluster)
    media_types(cluster)
    connections(cluster.url)
    parsing(cluster.url)
    calls(cluster.url, scheduler)
    files(cluster.agents[0], sandbox)


def methods_and_paths(cluster):
    master, agent = cluster.url, cluster.agents[0]
    whole = ask(master, "GET", "/state")
    for method in ("PUT", "DELETE", "POST"):
        expect(method, ask(master, method, "/state"), 200)
    head = ask(master, "HEAD", "/state")
    # Numbers such as times change their length from one answer to the next.
    assert abs(int(head.headers["content-length"]) - len(whole.body)) < 40, head.headers
    for path in ("/master/state", "/master/frameworks/", "/tasks?limit=x", "/tasks?limit=-1",
                 "/tasks?order=sideways", "/version", "/state.json", "/system/stats.json"):
        expect(path, ask(master, "GET", path), 200)
    for path in ("/slave(1)/state", "/slave%281%29/state", "/state.json", "/version"):
        expect(path, ask(agent, "GET", path), 200)
    for path in ("/master/version", "/nosuch", "/redirect/more"):
        expect(path, ask(master, "GET", path), 404)
    for method in ("GET", "PUT"):
        refused = ask(master, method, "/api/v1/scheduler")
        expect(method, refused, 405)
        assert refused.headers["allow"] == "POST", refused.headers
    # Clients post operator calls to a path below it.
    expect("operator", post(master, "/api/v1/operator", {"type": "GET_HEALTH"}), 200)
    leader = ask(master, "GET", "/redirect")
    expect("redirect", leader, 307, b"")
    assert leader.headers["location"] == master.removeprefix("http:"), leader.headers
    assert "content-type" not in leader.headers, leader.headers
    expect("jsonp", ask(master, "GET", "/version?jsonp="), 200)
    assert ask(master, "GET", "/version?jsonp=").body.startswith(b"({"), "jsonp without a name"
    for url in (master, agent):
        health = ask(url, "GET", "/health")
        expect("health", health, 200, b"")
        assert "content-type" not in health.headers, health.headers


def media_types(cluster):
    for url in (cluster.url, cluster.agents[0]):
        call = '{"type": "GET_HEALTH"}'
        for kind, status in (("application/json", 200), ("application/json; charset=utf-8", 415),
                             ("APPLICATION/JSON", 415), ("text/plain", 415), (None, 400)):
            headers = {"Content-Type": kind} if kind else {}
            expect(kind, ask(url, "POST", "/api/v1", headers, call), status)
        for accept, status, kind in (
                ("*/*", 200, "application/json"), ("application/*", 200, "application/json"),
                ("application/x-protobuf, application/json", 200, "application/json"),
                ("application/x-protobuf", 200, "application/x-protobuf"),
                ("application/json;q=0", 406, TEXT), ("text/html", 406, TEXT)):
            answer = ask(url, "POST", "/api/v1", {**JSON, "Accept": accept}, call)
            expect(accept, answer, status)
            assert answer.headers["content-type"] == kind, (accept, answer.headers)
        packed = ask(url, "GET", "/state", {"Accept-Encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip", packed.headers
        small = ask(url, "GET", "/version", {"Accept-Encoding": "gzip"})
        assert "content-encoding" not in small.headers, "packed although below 1024 bytes"


def connections(url):
    """Requests that are unusual on the wire: answered, or the connection ends, and no more."""
    for what, data in (
            ("an empty Host", b"GET /health HTTP/1.1\r\nHost:\r\n\r\n"),
            ("no Host", b"GET /health HTTP/1.1\r\n\r\n"),
            ("HTTP/1.0", b"GET /health HTTP/1.0\r\n\r\n")):
        expect(what, send(url, data), 200)
    post_head = b"POST /api/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    for what, data in (
            ("a bad escape", b"GET /tasks?limit=%zz HTTP/1.1\r\nHost: x\r\n\r\n"),
            ("a bad length", post_head + b"Content-Length: x\r\n\r\n{}"),
            ("a large header", b"GET /state HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"),
            ("a bad chunk", post_head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")):
        answer = send(url, data)
        assert answer is None or answer.status in (400, 431, 500), (what, answer.status)
    # Endpoints that ignore the method ignore one that nobody knows too.
    expect("an unknown method", send(url, b"FROB /state HTTP/1.1\r\nHost: x\r\n\r\n"), 200)
    expect("a huge body", send(url, post_head + b"Content-Length: 99999999999\r\n\r\n{"), 413)


def parsing(url):
    """What JSON is taken as a call."""
    api = "/api/v1"
    health = {"type": "GET_HEALTH"}
    for what, body, status in (
            ("an unknown type", '{"type": "NO_SUCH"}', 400),
            ("a number as type", '{"type": 1}', 400),
            ("no type", "{}", 400),
            ("the type UNKNOWN", '{"type": "UNKNOWN"}', 501),
            ("no body of GET_METRICS", '{"type": "GET_METRICS"}', 400),
            ("an unknown field", json.dumps({**health, "more": [1, {}]}), 200),
            ("padding", json.dumps(health) + " " * 10_000, 200),
            ("a null", json.dumps({**health, "get_metrics": None}), 200),
            ("a number as text", json.dumps({
                "type": "GET_METRICS", "get_metrics": {"timeout": {"nanoseconds": "1000000"}}}),
             200)):
        expect(what, ask(url, "POST", api, JSON, body), status)
    broken = {"method": "POST", "path": api, "headers": JSON,
              "body_base64": base64.b64encode(b'{"type": "GET_HEALTH", "x": "\xff"}').decode()}
    expect("invalid UTF-8", exchange(url, broken), 200)
    scheduler = "/api/v1/scheduler"
    info = {"user": "root", "name": "parsed"}
    completed = json.loads(ask(url, "GET", "/frameworks").body)["completed_frameworks"]
    removed = completed[0]["id"]
    for what, more, first in (
            ("texts for others", {"checkpoint": "true", "failover_timeout": "1.5"}, "SUBSCRIBED"),
            ("one object for a list", {"capabilities": {"type": "PARTITION_AWARE"}}, "SUBSCRIBED"),
            ("a negative time-out", {"failover_timeout": -1}, "SUBSCRIBED"),
            ("a bad role", {"role": "/x"}, "ERROR"),
            ("a removed framework", {"id": {"value": removed}}, "ERROR"),
            ("role and roles", {"role": "a", "roles": ["b"],
                                "capabilities": [{"type": "MULTI_ROLE"}]}, "ERROR")):
        call = {"type": "SUBSCRIBE", "subscribe": {"framework_info": {**info, **more}}}
        if "id" in more:
            call["framework_id"] = more["id"]
        answer = exchange(url, {"method": "POST", "path": scheduler, "headers": JSON,
                                "body": json.dumps(call)}, until=(first,))
        expect(what, answer, 200)
        event = answer.records()[0]
        assert event["type"] == first, (what, event)
        if what == "a removed framework":  # a client looks for these very words
            assert event["error"]["message"] == "Framework has been removed", event


def calls(url, scheduler):
    """Calls that name what does not exist are taken; a wrong stream or framework is not."""
    path, own = "/api/v1/scheduler", {"framework_id": {"value": scheduler.id}}
    stream = {"Mesos-Stream-Id": scheduler.stream_id}
    nobody = {"value": "nobody"}
    for call in (
            {"type": "DECLINE", "decline": {"offer_ids": [nobody]}},
            {"type": "ACCEPT", "accept": {"offer_ids": [nobody], "operations": []}},
            {"type": "KILL", "kill": {"task_id": nobody}},
            {"type": "SHUTDOWN", "shutdown": {"executor_id": nobody, "agent_id": nobody}},
            {"type": "MESSAGE", "message": {"executor_id": nobody, "agent_id": nobody,
                                            "data": "eA=="}}):
        taken = post(url, path, {**call, **own}, stream)
        expect(call["type"], taken, 202, b"")
        assert "content-type" not in taken.headers, taken.headers
    revive = {"type": "REVIVE", **own}
    expect("no stream id", post(url, path, revive), 400)
    expect("a wrong stream id", post(url, path, revive, {"Mesos-Stream-Id": "x"}), 400)
    expect("no such framework", post(url, path, {"type": "REVIVE", "framework_id": nobody}), 400)
    zero = {"type": "ACKNOWLEDGE", "acknowledge": {"agent_id": nobody, "task_id": nobody,
                                                   "uuid": "AAAAAAAAAAAAAAAAAAAAAA=="}}
    expect("a UUID of zeros", post(url, path, {**zero, **own}, stream), 400)


def files(agent, sandbox):
    stdout = f"{sandbox}/stdout"
    for path, status in (
            (f"/files/read?path={stdout}&offset=-1", 200),
            (f"/files/read?path={stdout}&offset=0&length=-1", 200),
            (f"/files/read?path={stdout}&offset=1000000", 200),
            (f"/files/read?path={stdout}&offset=-2", 400),
            (f"/files/read?path={stdout}&offset=0&length=-2", 400),
            (f"/files/read?path={sandbox}&offset=0", 400),
            (f"/files/read?path={sandbox}/nosuch", 404),
            ("/files/read", 400),
            (f"/files/read?path={sandbox}{'/..' * 40}/etc/passwd", 400),
            (f"/files/read?path={sandbox}/%2e%2e/nosuch", 404),
            (f"/files/browse?path={sandbox}/nosuch", 404),
            ("/files/download?path=/nosuch", 404)):
        expect(path, ask(agent, "GET", path), status)
    expect("a plain file", ask(agent, "GET", f"/files/browse?path={stdout}"), 200)
    expect("POST", ask(agent, "POST", f"/files/browse?path={sandbox}"), 200)
    missing = ask(agent, "GET", f"/files/read?path={sandbox}/nosuch")
    assert missing.body == b"", missing.body
