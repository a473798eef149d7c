"""The heat equation on a plate: a stencil gives each cell its new value from its neighbours."""

from array import array

from actinium import gpu

SIZE, STEPS, K = 32, 200, 0.2


@gpu.stencil(dims=2, boundary="clamp")
def heat(t: gpu.Grid[gpu.f32], k: gpu.f32) -> gpu.f32:
    return t[0, 0] + k * (t[-1, 0] + t[1, 0] + t[0, -1] + t[0, 1] - 4.0 * t[0, 0])


def main() -> None:
    step = gpu.NativeKernel(gpu.compile(heat))
    now, then = array("f", [0.0] * SIZE * SIZE), array("f", [0.0] * SIZE * SIZE)
    for y in range(12, 20):
        for x in range(12, 20):
            now[y * SIZE + x] = 100.0
    before = sum(now)
    for _ in range(STEPS):
        step(now, K, shape=(SIZE, SIZE), out=then)
        now, then = then, now
    for y in range(0, SIZE, 4):
        print("".join(" .:-=+*#%@"[min(9, int(now[y * SIZE + x] / 3))] for x in range(0, SIZE, 2)))
    middle = now[16 * SIZE + 16]
    print(f"heat before {before:.0f}, after {sum(now):.0f}; the middle is at {middle:.1f}")


if __name__ == "__main__":
    main()
