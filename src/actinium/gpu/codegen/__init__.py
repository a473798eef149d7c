"""One C++ text for CPU and CUDA, and what compiles it."""
