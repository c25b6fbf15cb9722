"""`python -m lipar.bench`, the same as `lipar bench`."""

from lipar.bench.command import bench

if __name__ == "__main__":
    bench(prog_name="python -m lipar.bench")
