"""Prints the highest GLIBC symbol version that an ELF binary needs, for example 2.28.

Reads the version names from the string table as they stand in the file (GLIBC_x.y), so that it needs no binutils. A name in the
file that is not a version need would only make the answer stricter, never laxer.
"""

import re
import sys


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: glibc_needed.py BINARY", file=sys.stderr)
        return 2
    with open(sys.argv[1], "rb") as binary:
        data = binary.read()
    versions = {tuple(int(part) for part in found.split(b".")) for found in re.findall(rb"\0GLIBC_(\d+(?:\.\d+)+)(?=\0)", data)}
    if not versions:
        print(f"{sys.argv[1]} names no GLIBC version: is it a dynamically linked ELF binary?", file=sys.stderr)
        return 1
    print(".".join(str(part) for part in max(versions)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
