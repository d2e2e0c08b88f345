"""Every dependency's licence must be one that Orrery, under Apache-2.0, may ship with."""

import json
import re
import subprocess
import sys

ALLOWED = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause",
    "BSL-1.0", "CC0-1.0", "ISC", "MIT", "MIT-0", "Unicode-3.0", "Unlicense", "Zlib"}


def allowed(expression):
    """Whether one of the choices in an SPDX expression is allowed (`/` is an old form of OR)."""
    expression = expression.replace("/", " OR ")
    groups = re.sub(r"[()]", " ", expression)
    if " AND " not in groups:
        return any(choice.strip() in ALLOWED for choice in groups.split(" OR "))
    return all(any(choice.strip() in ALLOWED for choice in part.split(" OR "))
               for part in groups.split(" AND "))


def main():
    metadata = json.loads(subprocess.run(
        ["cargo", "metadata", "--format-version=1", "--all-features", "--locked"],
        check=True, capture_output=True, text=True).stdout)
    bad = [f"{package['name']} {package['version']}: {package['license']}"
           for package in metadata["packages"]
           if package["source"] and not allowed(package["license"] or "none")]
    print("\n".join(bad) or f"licences: {len(metadata['packages'])} packages")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
