"""Forwards HTTP to a server, and writes down each call of AWS that passes: a JSON line {"service", "operation", "body"}.

usage: record-proxy.py <address of the server> <file to append to> [port, otherwise a free one]
It prints its own address. The service is taken from the credential scope, which is part of what the caller signed.
Requests in AWS JSON (X-Amz-Target) and the Query protocol (form with Action) are written down; S3 and others pass.
"""
import json
import re
import sys
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

SCOPE = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/([^/]+)/aws4_request")
# Headers that speak of one connection only.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length"}


def record(headers, body):
    """What a request asks for, or None. `headers` has get(), as those of a request."""
    scope = SCOPE.search(headers.get("Authorization", ""))
    if not scope:
        return None
    target = headers.get("X-Amz-Target")
    if target:
        return {"service": scope[1], "operation": target.rpartition(".")[2], "body": json.loads(body or b"{}")}
    form = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
    if "Action" in form:
        return {"service": scope[1], "operation": form.pop("Action"), "body": form}
    return None


def server(upstream, path, port=0):
    host = urlsplit(upstream).netloc
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_any(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                call = record(self.headers, body)
            except ValueError:
                call = {"service": "unreadable", "operation": self.path, "body": {}}
            if call:
                with lock, open(path, "a") as file:
                    file.write(json.dumps(call) + "\n")
            connection = HTTPConnection(host, timeout=60)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
            connection.request(self.command, self.path, body, {**headers, "Content-Length": str(len(body))})
            answer = connection.getresponse()
            content = answer.read()
            self.send_response(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            length = answer.getheader("Content-Length", "0") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_any

        def log_message(self, *_):
            pass

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    proxy = server(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) == 4 else 0)
    print(f"http://127.0.0.1:{proxy.server_port}", flush=True)
    proxy.serve_forever()
