// Size classes and regions of the slab: what a block is, before where it is.
//
// Classes go in steps of 16 bytes up to 512, and in four steps per doubling up to 32 KiB, so that
// rounding up wastes at most a fifth. Blocks beyond are whole pages of 64 KiB, and beyond 512 KiB
// maps of their own.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace actinium {

// What a block is for. Pages hold blocks of one region, and each region has its own counts.
enum class Region : std::uint8_t {
  cells,      // actors
  mailboxes,  // queued messages
  inbox,      // messages on their way from other threads
  payload,    // buffers of users
};
inline constexpr std::size_t kRegions = 4;
inline constexpr std::array<const char*, kRegions> kRegionNames = {"cells", "mailboxes", "inbox",
                                                                   "payload"};

namespace slab_detail {

inline constexpr std::size_t kGrain = 16;
inline constexpr std::size_t kFineMax = 512;
inline constexpr std::size_t kFineBins = kFineMax / kGrain;
inline constexpr std::size_t kSmallMax = std::size_t{32} << 10;
inline constexpr std::size_t kSpanMax = std::size_t{512} << 10;
inline constexpr std::size_t kBins = kFineBins + 4 * 6 + 1;  // bin 0: spans and maps

constexpr std::size_t bin_for(std::size_t size) noexcept {
  if (size <= kFineMax) {
    return size == 0 ? 1 : (size + kGrain - 1) / kGrain;
  }
  const std::size_t last = size - 1;
  const auto width = static_cast<std::size_t>(std::bit_width(last));
  return kFineBins + (width - 10) * 4 + (last >> (width - 3) & 3) + 1;
}

constexpr std::size_t bin_size(std::size_t bin) noexcept {
  if (bin <= kFineBins) {
    return bin * kGrain;
  }
  const std::size_t step = bin - kFineBins - 1;
  return (step % 4 + 5) << (step / 4 + 7);
}

static_assert(bin_for(513) == kFineBins + 1 && bin_size(bin_for(513)) == 640);
static_assert(bin_size(bin_for(1024)) == 1024 && bin_size(bin_for(1025)) == 1280);
static_assert(bin_for(kSmallMax) == kBins - 1 && bin_size(kBins - 1) == kSmallMax);

}  // namespace slab_detail

}  // namespace actinium
