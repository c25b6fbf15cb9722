"""`python -m lipar_lab.bench`, the same as `lipar bench`."""

from lipar_lab.bench.command import bench

if __name__ == "__main__":
    bench(prog_name="python -m lipar_lab.bench")
