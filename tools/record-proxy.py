"""Forwards HTTP to a server, and writes down each call of AWS that passes: a JSON line {"service", "operation", "body"},
and "party": "worker" if a task of ECS made it.

usage: record-proxy.py <address of the server> <file to append to> [port, otherwise a free one]
It prints its own address. The service is taken from the credential scope, which is part of what the caller signed.
AWS JSON (X-Amz-Target), the Query protocol (form with Action) and S3 are understood; of S3 only what tells the
operation is written down.
"""
import json
import re
import sys
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

SCOPE = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/([^/]+)/aws4_request")
# Headers that speak of one connection only.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length"}

# By method, whether there is a key, and a member of the query; the first that fits.
S3_OPERATIONS = {
    ("POST", True, "uploads"): "CreateMultipartUpload",
    ("POST", True, "uploadId"): "CompleteMultipartUpload",
    ("PUT", True, "uploadId"): "UploadPart",
    ("DELETE", True, "uploadId"): "AbortMultipartUpload",
    ("GET", True, "uploadId"): "ListParts",
    ("GET", True, None): "GetObject",
    ("HEAD", True, None): "HeadObject",
    ("PUT", True, None): "PutObject",
    ("DELETE", True, None): "DeleteObject",
    ("POST", False, "delete"): "DeleteObjects",
    ("GET", False, "versions"): "ListObjectVersions",
    ("GET", False, "uploads"): "ListMultipartUploads",
    ("GET", False, "list-type"): "ListObjectsV2",
    ("HEAD", False, None): "HeadBucket",
    ("PUT", False, None): "CreateBucket",
}


def s3_operation(method, path, body):
    """The operation of S3 and what it is about, of a request that names the bucket in its path."""
    url = urlsplit(path)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    bucket, _, key = url.path.lstrip("/").partition("/")
    about = {"Bucket": bucket, **({"Key": unquote(key)} if key else {})}
    if "versionId" in query or b"<VersionId>" in body:
        about["VersionId"] = query.get("versionId", "several")
    for (verb, of_object, marker), operation in S3_OPERATIONS.items():
        if verb == method and of_object == bool(key) and (marker is None or marker in query):
            return operation, about
    return f"{method} {path}", about


def record(method, path, headers, body):
    """What a request asks for, or None. `headers` has get(), as those of a request."""
    call = asked(method, path, headers, body)
    # AWS's SDKs say that they run in a container of ECS.
    if call and "exec-env/AWS_ECS_" in headers.get("X-Amz-User-Agent", "") + headers.get("User-Agent", ""):
        call["party"] = "worker"
    return call


def asked(method, path, headers, body):
    scope = SCOPE.search(headers.get("Authorization", ""))
    if not scope:
        return None
    if scope[1] == "s3":
        operation, about = s3_operation(method, path, body)
        return {"service": "s3", "operation": operation, "body": about}
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
                call = record(self.command, self.path, self.headers, body)
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
