// Huge pages for Python's own small objects.
//
// CPython takes memory for small objects in arenas of 1 MiB (256 KiB before 3.10), each a map of
// its own without advice, so a million new objects meet the kernel once per 4 KiB: a quarter of
// the time of a deep flood. Here arenas are cut from maps of 2 MiB that are aligned and advised to
// be one huge page: one fault instead of 512, and fewer misses of the TLB afterwards.
//
// PyObject_SetArenaAllocator is CPython's documented door for this. It changes where memory comes
// from and nothing else; arenas made before go back to where they came from. Only with
// AC_HUGE_PAGES=1, because it concerns the whole process and because the first touch of a huge
// page is dear where a hypervisor has to find the memory. Interpreters without such arenas
// (free-threaded ones) never call it.
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <vector>

#include "actinium/slab_system.hpp"
#include "types.hpp"

namespace binding {

namespace {

using actinium::slab_detail::kHugePage;

// One huge page and which of its slices are handed out.
struct Unit {
  char* base;
  std::uint32_t free;  // a bit for each slice
};

struct Arenas {
  std::mutex lock;  // interpreters of one process may have a GIL each
  PyObjectArenaAllocator before;
  std::size_t slice = 0;  // size of an arena, the same in all of one process
  std::vector<Unit> units;
  std::size_t whole = 0;  // units with nothing handed out; one is kept
};

std::uint32_t all_slices(const Arenas& a) {
  return static_cast<std::uint32_t>((std::uint64_t{1} << (kHugePage / a.slice)) - 1);
}

void* take_slice(Arenas& a, Unit& unit) {
  if (unit.free == all_slices(a)) --a.whole;
  const int at = std::countr_zero(unit.free);
  unit.free &= unit.free - 1;
  return unit.base + static_cast<std::size_t>(at) * a.slice;
}

void* arena_alloc(void* context, std::size_t size) {
  auto& a = *static_cast<Arenas*>(context);
  const std::lock_guard<std::mutex> guard(a.lock);
  if (a.slice == 0 && std::has_single_bit(size) && size >= kHugePage / 32 && size < kHugePage) {
    a.slice = size;
  }
  if (size != a.slice) return a.before.alloc(a.before.ctx, size);
  for (auto unit = a.units.rbegin(); unit != a.units.rend(); ++unit) {
    if (unit->free != 0) return take_slice(a, *unit);
  }
  void* const base = actinium::slab_detail::map_memory(kHugePage);
  if (base == nullptr) return nullptr;
  a.units.push_back({static_cast<char*>(base), all_slices(a)});
  ++a.whole;
  return take_slice(a, a.units.back());
}

void arena_free(void* context, void* memory, std::size_t size) {
  auto& a = *static_cast<Arenas*>(context);
  const std::lock_guard<std::mutex> guard(a.lock);
  auto* const place = static_cast<char*>(memory);
  const auto unit = std::find_if(a.units.begin(), a.units.end(), [place](const Unit& u) {
    return place >= u.base && place < u.base + kHugePage;
  });
  if (unit == a.units.end()) return a.before.free(a.before.ctx, memory, size);
  unit->free |= 1u << (static_cast<std::size_t>(place - unit->base) / a.slice);
  if (unit->free != all_slices(a)) {
    ::madvise(memory, size, MADV_DONTNEED);  // the system gets it back now
  } else if (a.whole == 0) {
    ++a.whole;
  } else {
    ::munmap(unit->base, kHugePage);
    a.units.erase(unit);
  }
}

}  // namespace

void use_huge_pages() {
  const char* const setting = std::getenv("AC_HUGE_PAGES");
  if (setting == nullptr || std::strcmp(setting, "1") != 0) return;
  auto* const arenas = new (std::nothrow) Arenas;  // lives as long as the process
  if (arenas == nullptr) return;
  PyObject_GetArenaAllocator(&arenas->before);
  PyObjectArenaAllocator ours{arenas, arena_alloc, arena_free};
  PyObject_SetArenaAllocator(&ours);
}

}  // namespace binding
