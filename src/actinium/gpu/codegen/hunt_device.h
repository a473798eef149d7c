// The device's side of a hunt: a warp for each block, which checks each chunk and sends others back.
extern "C" __global__ void ac_resident(unsigned char* region, unsigned char*) {
  const ac_hunt_plan plan = *(const ac_hunt_plan*)region;
  ac_hunt_lines* const lines = ac_hunt_lines_of(region, blockIdx.x);
  const ac_line* const in = ac_hunt_ring(region, blockIdx.x, false);
  ac_line* const out = ac_hunt_ring(region, blockIdx.x, true);
  const ac_u32 mask = plan.capacity - 1, lane = threadIdx.x & 31, line = lane >> 2, chunk = lane & 3;
  ac_u32 room = plan.capacity, torn = 0, posted = 0;
  for (ac_u64 done = 0; done < plan.messages;) {
    const ac_u32 n = (ac_u32)done + line;
    const ac_chunk c = ac_ld16(&in[n & mask].c[chunk]);
    const ac_u32 there = __ballot_sync(0xffffffffu, c.tag == n + 1);
    const ac_u32 whole = there & there >> 1 & there >> 2 & there >> 3 & 0x11111111u;
    ac_u32 run = whole == 0x11111111u ? 8 : (ac_u32)(__ffs((int)(~whole & 0x11111111u)) - 1) / 4;
    run = run > room ? room : run;
    if (line < run) {
      const ac_chunk right = ac_hunt_chunk(n, chunk, false);
      torn += c.w[0] != right.w[0] || c.w[1] != right.w[1] || c.w[2] != right.w[2];
      ac_st16(&out[n & mask].c[chunk], ac_hunt_chunk(n, chunk, true));
    }
    done += run;
    if (lane == 0 && ((ac_u32)done - posted > plan.capacity / 16 || run == 0)) {
      posted = (ac_u32)done;
      ac_st32(&lines->device_credit, posted);
    }
    room -= run;
    if (room < 8) {
      const ac_u32 credit = __shfl_sync(0xffffffffu, lane == 0 ? ac_ld32(&lines->host_credit) : 0, 0);
      room = plan.capacity - ((ac_u32)done - credit);
    }
    if (run == 0) ac_nap(100);
  }
  for (int o = 16; o; o >>= 1) torn += __shfl_xor_sync(0xffffffffu, torn, o);
  if (lane == 0) {
    ac_st32(&lines->torn, torn);
    ac_fence_system();
    ac_st32(&lines->ended, 1);
  }
}
