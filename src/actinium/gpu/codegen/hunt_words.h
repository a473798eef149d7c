// What a hunted slot holds follows from its number, the size of its data and whether it is stamped
// too.
AC_FN ac_u32 ac_hunt_word(ac_u32 n, ac_u32 k) {
  ac_u32 x = n * 0x9e3779b1u + k * 0x85ebca77u;
  x = (x ^ x >> 15) * 0x2c1b3c6du;
  return x ^ x >> 12;
}
AC_FN ac_u32 ac_hunt_size(ac_u32 n, ac_u32 most) {
  return 4 * (ac_hunt_word(n, 1u << 20) % (most / 4 + 1));
}
AC_FN ac_head ac_hunt_head(ac_u32 n, ac_u32 most) {
  const bool stamped = n % 5 == 0;
  const ac_u32 size = ac_hunt_size(n, most);
  return {AC_USER | (stamped ? AC_FLAG_STAMPED << 16 : 0), n, ac_hunt_word(n, 7), n * 3,
          (ac_u64)n << 20, n ^ 5, size};
}

struct ac_hunt_result {
  ac_u64 taken, torn, polls;
};

// A hunt between a host and a device: the plan lies first in the region, then for each block a
// line that the host writes, one that the device writes, and the two rings, of slots of one line.
struct ac_hunt_plan {
  ac_u64 messages;  // of each block, each way
  ac_u32 blocks, capacity;
};
struct ac_hunt_lines {
  alignas(128) ac_u32 host_credit;
  alignas(128) ac_u32 device_credit;
  ac_u32 torn, ended;
};
#define AC_HUNT_MOST AC_INLINE_STAMPED
#define AC_HUNT_BACK 0x40000000u  // what comes back has another content than what went
AC_FN ac_hunt_lines* ac_hunt_lines_of(unsigned char* region, ac_u32 block) {
  return (ac_hunt_lines*)(region + 4096) + block;
}
AC_FN ac_line* ac_hunt_ring(unsigned char* region, ac_u32 block, bool back) {
  const ac_hunt_plan* plan = (const ac_hunt_plan*)region;
  const ac_u64 at = 4096 + (plan->blocks * sizeof(ac_hunt_lines) + 4095) / 4096 * 4096;
  return (ac_line*)(region + at) + (ac_u64)(2 * block + back) * plan->capacity;
}
AC_FN ac_chunk ac_hunt_chunk(ac_u32 n, ac_u32 chunk, bool back) {
  const ac_u32 of = back ? n ^ AC_HUNT_BACK : n;
  const ac_head head = ac_hunt_head(of, AC_HUNT_MOST);
  return ac_chunk_of(head, 0, chunk, n + 1, [&](ac_u32 k) { return k * 4 < head.size ? ac_hunt_word(of, k) : 0u; });
}
