"""`python -m lipar_lab.bench`, the same as `lipar bench`."""

import sys

from lipar.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["bench"]
    main()
