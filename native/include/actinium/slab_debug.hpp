// The slab's checks: AC_SLAB_DEBUG=1 in the environment puts a frame around every block.
//
//   | link | mark, size, generation, region, owner, canary | the user's bytes | canary |
//
// Freed bytes are filled with 0xDD and looked at again before they are given out. A double free,
// a write after free or past an end, a wrong size or region and a block used under an older
// generation end the process and name the block, its size, region, generation and owner.
//
// Read once, when the first block is allocated. Costs nothing when off: the thread's heap is
// then found where the fast path looks for it, and with checks it is not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "actinium/slab_classes.hpp"

namespace actinium::slab_detail {

inline bool debug_mode() noexcept {
  static const bool on = [] {
    const char* const value = std::getenv("AC_SLAB_DEBUG");
    return value != nullptr && std::strcmp(value, "1") == 0;
  }();
  return on;
}

inline constexpr unsigned char kPoison = 0xDD;
inline constexpr std::uint64_t kCanary = 0xC0DEDBADC0DEDBADu;
inline constexpr std::uint64_t kUsedMark = 0xAC71A11FEB10C4EDu;
inline constexpr std::uint64_t kFreeMark = 0xAC71F4EEDB10C4EDu;

// In front of the user's bytes; the first two words belong to the heap while the block is free.
struct Frame {
  std::uint64_t link[2];
  std::uint64_t mark;
  std::uint64_t size;
  std::uint32_t generation;
  std::uint16_t region;
  std::uint16_t owner;  // number of the thread's heap, from 1 in order of their first block
  std::uint64_t unused;
  std::uint64_t canary[2];
};
static_assert(sizeof(Frame) == 64, "keeps the alignment of the block");

// Of a block with its frame: whole lines of 64 bytes, so that the alignment is as without.
constexpr std::size_t framed(std::size_t size) noexcept {
  return (sizeof(Frame) + size + sizeof(kCanary) + 63) / 64 * 64;
}

inline Frame* frame_of(const void* block) noexcept {
  return reinterpret_cast<Frame*>(reinterpret_cast<std::uintptr_t>(block) - sizeof(Frame));
}

[[noreturn]] inline void die(const char* what, const Frame& frame, std::size_t size) noexcept {
  const std::size_t region = frame.region < kRegions ? frame.region : 0;
  std::fprintf(stderr,
               "actinium slab: %s: block %p of %llu bytes in %s, generation %u, owner %u; the "
               "caller says %zu bytes\n",
               what, static_cast<const void*>(&frame + 1),
               static_cast<unsigned long long>(frame.size), kRegionNames[region], frame.generation,
               frame.owner, size);
  std::abort();
}

inline void check_used(const Frame& frame, std::size_t size) noexcept {
  if (frame.mark == kFreeMark) die("double free or use after free", frame, size);
  if (frame.mark != kUsedMark) die("not a block, or written before its start", frame, size);
  if (frame.canary[0] != kCanary || frame.canary[1] != kCanary) {
    die("written before its start", frame, size);
  }
  if (frame.size != size) die("freed with the wrong size", frame, size);
  std::uint64_t tail;
  std::memcpy(&tail, reinterpret_cast<const char*>(&frame + 1) + frame.size, sizeof tail);
  if (tail != kCanary) die("written past its end", frame, size);
}

// Frames raw memory of framed(size) bytes; it is fresh (zero), or `take_frame` has marked it.
inline void* put_frame(void* raw, std::size_t size, Region region, unsigned owner) noexcept {
  auto* const frame = static_cast<Frame*>(raw);
  if (frame->mark == kFreeMark) {
    const auto* const bytes = reinterpret_cast<const unsigned char*>(frame + 1);
    for (std::size_t i = 0; i < frame->size; ++i) {
      if (bytes[i] != kPoison) die("written to after free", *frame, frame->size);
    }
  }
  frame->mark = kUsedMark;
  frame->size = size;
  frame->region = static_cast<std::uint16_t>(region);
  frame->owner = static_cast<std::uint16_t>(owner);
  frame->canary[0] = frame->canary[1] = kCanary;
  std::memcpy(reinterpret_cast<char*>(frame + 1) + size, &kCanary, sizeof kCanary);
  return frame + 1;
}

// Checks and poisons a block; returns the raw memory to give back to the heap.
inline void* take_frame(void* block, std::size_t size, Region region) noexcept {
  Frame* const frame = frame_of(block);
  check_used(*frame, size);
  if (frame->region != static_cast<std::uint16_t>(region)) {
    die("freed into the wrong region", *frame, size);
  }
  frame->mark = kFreeMark;
  ++frame->generation;
  std::memset(block, kPoison, size);
  return frame;
}

}  // namespace actinium::slab_detail
