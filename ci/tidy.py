"""House rules that no compiler knows: sizes, words that must not stay, and what each layer may use."""

import re
import subprocess
import sys

FILE_LINES = 700
LINE_COLUMNS = 100
FUNCTION_LINES = 75

# What core/ and net/ must reach through the ports instead.
PAST_THE_PORTS = re.compile(
    r"std::net::|std::fs::|std::thread::spawn|tokio::(net|fs|time|spawn)\b|SystemTime::now|"
    r"\bInstant::now|thread_rng|rand::rng")
LEFT_OPEN = re.compile(r"\b(TODO|FIXME|XXX)\b|todo!\(|unimplemented!\(|dbg!\(")
UNWRAP = re.compile(r"\.unwrap\(\)|\.expect\(")


def is_test(path):
    return bool(re.search(r"(^|/)(tests?|benches|examples|contract)(/|\.rs$)|_tests?\.rs$|"
                          r"(^|/)(testing|harness)(\.rs$|/)", path))


def product_lines(lines):
    """Lines before an inline test module, with their numbers."""
    for number, line in enumerate(lines, 1):
        if line.strip() == "#[cfg(test)]" and number < len(lines) and "{" in lines[number]:
            return
        yield number, line


def long_functions(path, lines):
    start = None
    for number, line in enumerate(lines, 1):
        found = re.match(r"^(\s*)(pub(\([^)]*\))? )?(const )?(async )?(unsafe )?fn (\w+)", line)
        if found and start is None:
            start = (number, found.group(1), found.group(7))
        elif start and line.rstrip() == start[1] + "}":
            if number - start[0] + 1 > FUNCTION_LINES:
                yield f"{path}:{start[0]}: fn {start[2]} has {number - start[0] + 1} lines"
            start = None
        elif start and start[0] + 1 >= number and line.rstrip().endswith(";") and "{" not in line:
            start = None


def check(path):
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    if len(lines) > FILE_LINES:
        yield f"{path}: {len(lines)} lines; is there a second subject inside?"
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_COLUMNS and "http" not in line:
            yield f"{path}:{number}: {len(line)} columns"
        if LEFT_OPEN.search(line):
            yield f"{path}:{number}: left open: {line.strip()}"
    if is_test(path):
        return
    yield from long_functions(path, lines)
    for number, line in product_lines(lines):
        code = line.split("//")[0]
        excused = any("clippy::disallowed" in before for before in lines[max(0, number - 9):number])
        if path.startswith(("core/", "net/")) and not excused and PAST_THE_PORTS.search(code):
            yield f"{path}:{number}: reaches past the ports: {line.strip()}"
        if path.startswith(("net/", "bin/", "runtime-real/")) and UNWRAP.search(code):
            yield f"{path}:{number}: unwrap where bytes from outside may lead: {line.strip()}"


def main():
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.rs"],
                            check=True, capture_output=True, text=True).stdout.split()
    problems = [problem for path in sorted(set(listed)) for problem in check(path)]
    print("\n".join(problems) or f"tidy: {len(listed)} files")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
