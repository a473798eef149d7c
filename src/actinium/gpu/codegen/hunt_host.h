// The host's side of a hunt with a device: one thread for each block % step == first.
#include <thread>
#include <time.h>
#include <vector>

extern "C" ac_u64 ac_hunt_bytes(ac_u32 blocks, ac_u32 capacity) {
  return 4096 + (blocks * sizeof(ac_hunt_lines) + 4095) / 4096 * 4096 +
         (ac_u64)blocks * 2 * capacity * sizeof(ac_line);
}

// Sends and takes until all is done, or nothing came for `patience` seconds: then some are lost.
extern "C" void ac_hunt_host(unsigned char* region, ac_u32 first, ac_u32 step, double patience,
                             ac_hunt_result* result) {
  const ac_hunt_plan plan = *(const ac_hunt_plan*)region;
  struct Side {
    ac_u64 sent, taken;
  };
  std::vector<Side> sides(plan.blocks);
  *result = {0, 0, 0};
  const ac_u32 mask = plan.capacity - 1;
  timespec moved, now;
  clock_gettime(CLOCK_MONOTONIC, &moved);
  for (bool left = true; left;) {
    left = false;
    bool any = false;
    for (ac_u32 b = first; b < plan.blocks; b += step) {
      Side& s = sides[b];
      ac_hunt_lines* const lines = ac_hunt_lines_of(region, b);
      ac_line* const out = ac_hunt_ring(region, b, false);
      const ac_line* const in = ac_hunt_ring(region, b, true);
      const ac_u32 credit = ac_ld32(&lines->device_credit);
      for (; s.sent < plan.messages && (ac_u32)s.sent - credit < plan.capacity; s.sent++)
        for (ac_u32 chunk = 4; chunk-- > 0;)
          ac_st16(&out[s.sent & mask].c[chunk], ac_hunt_chunk((ac_u32)s.sent, chunk, false));
      const ac_u64 before = s.taken;
      for (bool there = true; s.taken < s.sent; s.taken += there) {
        const ac_u32 n = (ac_u32)s.taken;
        bool same = true;
        for (ac_u32 chunk = 0; chunk < 4 && there; chunk++) {
          const ac_chunk c = ac_ld16(&in[n & mask].c[chunk]), right = ac_hunt_chunk(n, chunk, true);
          there = c.tag == n + 1;
          same = same && c.w[0] == right.w[0] && c.w[1] == right.w[1] && c.w[2] == right.w[2];
        }
        if (!there) break;
        result->torn += !same;
      }
      if (s.taken != before) {
        ac_st32(&lines->host_credit, (ac_u32)s.taken);
        result->taken += s.taken - before;
        any = true;
      }
      left = left || s.taken < plan.messages;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (any) moved = now;
    else {
      result->polls++;
      std::this_thread::yield();
      if ((double)(now.tv_sec - moved.tv_sec) > patience) return;
    }
  }
}

// What the device found torn, over all blocks; when it has ended.
extern "C" ac_u64 ac_hunt_torn(unsigned char* region) {
  ac_u64 torn = 0;
  for (ac_u32 b = 0; b < ((const ac_hunt_plan*)region)->blocks; b++)
    torn += ac_ld32(&ac_hunt_lines_of(region, b)->torn);
  return torn;
}
