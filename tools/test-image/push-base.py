"""Pushes a base image for two architectures to a registry on this machine, for the test of images.

usage: push-base.py HOST:PORT REPOSITORY:TAG LAYER.tar.gz R-VERSION

The layer is a root filesystem with R for amd64. The base for arm64 is made up: nothing of it is run.
"""
import gzip
import hashlib
import http.client
import io
import json
import sys
import tarfile

OCI = "application/vnd.oci.image."


def sha256(file):
    file.seek(0)
    digest = hashlib.sha256()
    while piece := file.read(1 << 20):
        digest.update(piece)
    return "sha256:" + digest.hexdigest()


def ask(method, path, body=None, headers=None):
    connection = http.client.HTTPConnection(place)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    answer.read()
    if answer.status >= 300:
        sys.exit(f"{method} {path}: {answer.status}")
    return answer


def put_blob(file, media_type):
    digest = sha256(file)
    size = file.seek(0, 2)
    file.seek(0)
    where = ask("POST", f"/v2/{name}/blobs/uploads/").getheader("location")
    path = "/" + where.split("/", 3)[3]
    headers = {"content-type": "application/octet-stream", "content-length": str(size)}
    ask("PUT", f"{path}&digest={digest}", file, headers)
    return {"mediaType": OCI + media_type, "digest": digest, "size": size}


def put_manifest(version, media_type, document):
    body = json.dumps(document).encode()
    ask("PUT", f"/v2/{name}/manifests/{version}", body, {"content-type": OCI + media_type})
    return len(body), "sha256:" + hashlib.sha256(body).hexdigest()


def put_image(architecture, layer):
    described = put_blob(layer, "layer.v1.tar+gzip")
    layer.seek(0)
    config = {
        "architecture": architecture, "os": "linux",
        "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin", f"R_VERSION={version}", "LANG=C.UTF-8"], "Cmd": ["R"]},
        "rootfs": {"type": "layers", "diff_ids": [sha256(gzip.open(layer))]},
    }
    config = put_blob(io.BytesIO(json.dumps(config).encode()), "config.v1+json")
    manifest = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": config, "layers": [described]}
    body = json.dumps(manifest).encode()
    size, digest = put_manifest("sha256:" + hashlib.sha256(body).hexdigest(), "manifest.v1+json", manifest)
    platform = {"architecture": architecture, "os": "linux"}
    return {"mediaType": OCI + "manifest.v1+json", "digest": digest, "size": size, "platform": platform}


def made_up():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("not-a-system"))
    return file


place, target, path, version = sys.argv[1:]
name, _, tag = target.partition(":")
with open(path, "rb") as layer:
    manifests = [put_image("amd64", layer), put_image("arm64", made_up())]
index = {"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": manifests}
put_manifest(tag, "index.v1+json", index)
