"""Fails when a crate that is built in has a licence that the package cannot be given away with."""
import json
import subprocess
import sys

ALLOWED = {
    "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0",
    "CC0-1.0", "ISC", "MIT", "MIT-0", "MPL-2.0", "Unicode-3.0", "Unlicense", "Zlib",
}


def allowed(expression):
    """One of the alternatives is allowed as a whole."""
    alternatives = expression.replace("(", "").replace(")", "").replace("/", " OR ").split(" OR ")
    return any(
        all(part.strip() in ALLOWED for part in choice.split(" AND ")) for choice in alternatives
    )


metadata = json.loads(
    subprocess.check_output(["cargo", "metadata", "--locked", "--format-version", "1"])
)
bad = [
    (package["name"], package["license"])
    for package in metadata["packages"]
    if not allowed(package["license"] or "none")
]
for name, licence in bad:
    print(f"{name}: {licence}")
sys.exit(bool(bad))
