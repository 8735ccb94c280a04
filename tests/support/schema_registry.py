"""A schema registry with as much of Confluent's API as a producer and a reader use, in memory of the test; and values read back by fastavro.

Subjects are BACKWARD by default: a reader with the new schema has to read what was written with the one before.
"""
import http.server
import json
import os
import re
import subprocess
import sys
import threading
import urllib.parse

from . import proc
from .proc import check

CONTENT = "application/vnd.schemaregistry.v1+json"


def _fastavro():
    """fastavro, which tools/setup puts beside the other downloads."""
    cache = subprocess.run([proc.ROOT / "tools/cache"], capture_output=True, text=True, check=True).stdout.strip()
    path = f"{cache}/fastavro-1.13.1"
    check(os.path.isdir(path), f"{path} is missing; run tools/setup")
    if path not in sys.path:
        sys.path.insert(0, path)
    import fastavro  # pylint: disable=import-outside-toplevel,import-error
    return fastavro


def _fields(schema, found=None, path=""):
    """{path: field} of all records inside."""
    found = {} if found is None else found
    if isinstance(schema, list):
        for branch in schema:
            _fields(branch, found, path)
    elif isinstance(schema, dict):
        if schema["type"] == "record":
            for f in schema["fields"]:
                found[f"{path}/{f['name']}"] = f
                _fields(f["type"], found, f"{path}/{f['name']}")
        else:
            for part in ("type", "items", "values"):
                _fields(schema.get(part), found, path)
    return found


def _null(field):
    return isinstance(field["type"], list) and "null" in field["type"]


def refusal(old, new):
    """What stands against reading, with the schema `new`, what was written with `old`; None: nothing. Of Avro's rules those that ALTER TABLE meets."""
    before, now = _fields(old), _fields(new)
    for path, field in now.items():
        if path not in before and "default" not in field:
            return f"the field {path} has no default and is missing in the schema before"
        if path in before and _null(before[path]) and not _null(field):
            return f"the field {path} was nullable"
    return None


class SchemaRegistry:
    """url: what encode.registry.url has. While it is away its port refuses."""

    def __init__(self):
        self.port = proc.free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.schemas, self.subjects, self.asked, self.compatible, self.password = {}, {}, [], {}, None
        self._lock, self._server = threading.Lock(), None

    def start(self):
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                registry.serve(self, None)

            def do_POST(self):
                registry.serve(self, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def serve(self, request, body):
        with self._lock:
            self.asked.append(request.path)
            status, answer = self._answer(request, body)
        text = json.dumps(answer).encode()
        request.send_response(status)
        request.send_header("Content-Type", CONTENT)
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)

    def _answer(self, request, body):
        subject = re.fullmatch(r"/api/subjects/([^/]+)/versions(/latest)?", request.path)
        if self.password and request.headers.get("Authorization") != self.password:
            return 401, {"error_code": 401, "message": "Unauthorized"}
        if not subject:
            return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}
        name, versions = urllib.parse.unquote(subject[1]), self.subjects.setdefault(urllib.parse.unquote(subject[1]), [])
        if body is None:
            if not versions:
                return 404, {"error_code": 40401, "message": f"Subject '{name}' not found."}
            return 200, {"subject": name, "version": len(versions), "id": versions[-1], "schema": self.schemas[versions[-1]]}
        return self._register(name, versions, body)

    def _register(self, name, versions, body):
        text = body["schema"]
        parsed = json.loads(text)
        if body.get("schemaType", "AVRO") == "AVRO":
            _fastavro().parse_schema(parsed)
        number = next((n for n, t in self.schemas.items() if t == text), None)
        if number in versions:
            return 200, {"id": number}
        why = versions and self.compatible.get(name, True) and refusal(json.loads(self.schemas[versions[-1]]), parsed)
        if why:
            return 409, {"error_code": 409, "message": f"Schema being registered is incompatible with an earlier schema: {why}"}
        if number is None:
            number = len(self.schemas) + 1
            self.schemas[number] = text
        versions.append(number)
        return 200, {"id": number}

    def read(self, frame):
        """(schema, value) of a frame in Avro."""
        import io  # pylint: disable=import-outside-toplevel
        check(frame[0] == 0, f"a frame begins with a zero byte: {frame[:8]}")
        schema = json.loads(self.schemas[int.from_bytes(frame[1:5], "big")])
        body = io.BytesIO(frame[5:])
        value = _fastavro().schemaless_reader(body, _fastavro().parse_schema(schema))
        check(body.read() == b"", "nothing is left behind the value")
        return schema, value

    def read_json(self, frame):
        """The value of a frame in JSON."""
        check(frame[0] == 0 and int.from_bytes(frame[1:5], "big") in self.schemas, f"a frame of a known schema: {frame[:8]}")
        return json.loads(frame[5:])
