"""Where the time of a first build goes: what R CMD INSTALL has cargo build, from nothing, crate by crate.

usage: python3 bench/build.py FOLDER    builds into FOLDER, which must not exist, and prints a Markdown table
"""

import glob
import json
import os
import re
import subprocess
import sys
import time

folder = sys.argv[1]
top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
os.makedirs(folder)
began = time.time()
subprocess.run(
    ["cargo", "build", "--locked", "--release", "--timings", "--target-dir", folder]
    + ["-p", "starburst-r", "-p", "starburst-worker"],
    cwd=top,
    check=True,
    stdin=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
)
took = time.time() - began
page = open(glob.glob(os.path.join(folder, "cargo-timings", "cargo-timing-*.html"))[0]).read()
units = json.loads(re.search(r"UNIT_DATA = (\[.*?\]);\n", page, re.S).group(1))


def group(name):
    if name.startswith("aws-sdk-"):
        return "clients of the AWS SDK"
    if name.startswith("aws-"):
        return "runtime of the AWS SDK"
    if name.startswith("starburst-"):
        return "starburst"
    return "other crates"


crates, groups = {}, {}
for unit in units:
    crates[unit["name"]] = crates.get(unit["name"], 0) + unit["duration"]
    groups.setdefault(group(unit["name"]), []).append((unit["name"], unit["duration"]))

print(f"{took:.0f} s for {len(crates)} crates on {os.cpu_count()} processors. Seconds in which a crate was compiled; two at a time.\n")
print("| | crates | s | share |\n|---|---:|---:|---:|")
whole = sum(crates.values())
for name, rows in sorted(groups.items(), key=lambda item: -sum(s for _, s in item[1])):
    seconds = sum(s for _, s in rows)
    print(f"| {name} | {len({n for n, _ in rows})} | {seconds:.0f} | {100 * seconds / whole:.0f} % |")
print("\n| the longest | s |\n|---|---:|")
for name, seconds in sorted(crates.items(), key=lambda item: -item[1])[:15]:
    print(f"| {name} | {seconds:.0f} |")
