"""A package repository on loopback.

usage: package-server.py FOLDER FILE    serves FOLDER; the port and the process go into FILE, and the most packages that
                                        were on their way at once into FILE.most

The first package waits a moment for a second one to be asked for.
"""

import http.server
import os
import sys
import threading

folder, out = sys.argv[1:3]
now = most = 0
changed = threading.Condition()


def put(name, text):
    with open(name + ".part", "w") as file:
        file.write(text)
    os.rename(name + ".part", name)


class Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *rest):
        super().__init__(*rest, directory=folder)

    def do_GET(self):
        global now, most
        package = self.path.endswith(".tar.gz")
        if package:
            with changed:
                now += 1
                most = max(most, now)
                put(out + ".most", str(most))
                changed.notify_all()
                changed.wait_for(lambda: most > 1, timeout=5)
        super().do_GET()
        if package:
            with changed:
                now -= 1


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
put(out, f"{server.server_port} {os.getpid()}")
server.serve_forever()
