"""How fast staining is, against what else could be used, and how it grows with the volume."""

from .benchmark import SIZES, SpeedBenchmark, benchmark_speed

__all__ = ["SIZES", "SpeedBenchmark", "benchmark_speed"]
