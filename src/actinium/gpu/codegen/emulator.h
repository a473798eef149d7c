// Runs the kernel's text on fibers; comes after it.
static void ac_emu_body() {
  ac_resident(ac_emu_on->region, ac_emu_on->states);
  ac_emu_on->live--;
  ac_emu_away(AC_EMU_DONE, 0, "done", 0, 0);
}

enum { AC_EMU_RUNS, AC_EMU_ENDED, AC_EMU_STUCK, AC_EMU_TRAPPED };

// A grid of `blocks` blocks of `threads`, none of which has run yet. seed 0: each in turn. real:
// by this machine's clock, else a switch takes 10 ns. watchdog: switches without progress after
// which work that is under way counts as stuck, 0: any number.
extern "C" ac_emu* ac_emu_new(unsigned char* region, unsigned char* states, ac_emu_u32 blocks,
                              ac_emu_u32 threads, ac_emu_u32 shared, ac_emu_u64 seed, int real,
                              ac_emu_u64 watchdog) {
  ac_emu* e = new ac_emu();
  e->region = region;
  e->states = states;
  e->threads = {threads, 1, 1};
  e->blocks = {blocks, 1, 1};
  e->seed = seed;
  e->random = seed * 0x9e3779b97f4a7c15ull | 1;
  e->real = real != 0;
  e->now = real ? ac_emu_clock() : 1;
  e->watchdog = watchdog;
  e->all_blocks.resize(blocks);
  e->fibers.resize((size_t)blocks * threads);
  e->live = blocks * threads;
  const size_t stack = 128 << 10;
  for (ac_emu_u32 b = 0; b < blocks; b++) {
    ac_emu_block& block = e->all_blocks[b];
    const size_t bytes = ((size_t)shared + 255) / 128 * 128;
    block.shared = (unsigned char*)aligned_alloc(128, bytes);
    memset(block.shared, 0xcd, bytes);  // what nobody set is nothing to rely on
    block.warps.resize((threads + 31) / 32);
    for (ac_emu_u32 t = 0; t < threads; t++) {
      ac_emu_fiber& f = e->fibers[(size_t)b * threads + t];
      f.thread = {t, 0, 0};
      f.block = {b, 0, 0};
      f.of = &block;
      f.what = "starts";
      f.stack = mmap(0, stack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
#if defined(__x86_64__)
      ac_emu_u64* sp = (ac_emu_u64*)((char*)f.stack + stack);
      *--sp = 0;
      *--sp = (ac_emu_u64)(void*)&ac_emu_body;
      for (int i = 0; i < 6; i++) *--sp = 0;
      f.sp = sp;
#else
      getcontext(&f.context);
      f.context.uc_stack.ss_sp = f.stack;
      f.context.uc_stack.ss_size = stack;
      f.context.uc_link = 0;
      makecontext(&f.context, ac_emu_body, 0);
#endif
      e->ready.push_back(&f);
    }
  }
  return e;
}

// Goes on for so many switches, or in real time until all naps.
extern "C" int ac_emu_step(ac_emu* e, ac_emu_u64 switches) {
  ac_emu_on = e;
  std::vector<ac_emu_fiber*> turn;
  size_t next = 0;
  const ac_emu_u64 until = e->switches + switches;
  while (e->live && !e->trapped) {
    if (e->switches >= until) break;
    if (next == turn.size()) {
      turn.clear();
      next = 0;
      if (e->real) e->now = ac_emu_clock();
      ac_emu_wake(e);
      if (e->ready.empty()) {
        if (e->resting.empty()) {
          e->self = 0;
          return AC_EMU_STUCK;  // all wait for each other
        }
        if (e->real) {
          const ac_emu_u64 ns = e->first > e->now ? e->first - e->now : 1;
          timespec nap = {0, (long)(ns < 1000000 ? ns : 1000000)};
          nanosleep(&nap, 0);
        } else {
          e->now = e->first;
        }
        continue;
      }
      if (e->seed) {  // one of all, again and again
        const size_t i = ac_emu_draw(e) % e->ready.size();
        turn.push_back(e->ready[i]);
        e->ready[i] = e->ready.back();
        e->ready.pop_back();
      } else {
        turn.swap(e->ready);
      }
    }
    ac_emu_fiber* f = turn[next++];
    e->self = f;
    e->switches++;
    if (!e->real) e->now += 10;
    ac_emu_switch(&e->scheduler, f);
    if (e->watchdog && (ac_i64)e->work > 0 && e->switches - e->moved > e->watchdog) {
      for (; next < turn.size(); next++) e->ready.push_back(turn[next]);
      return AC_EMU_STUCK;
    }
  }
  for (; next < turn.size(); next++) e->ready.push_back(turn[next]);
  return e->trapped ? AC_EMU_TRAPPED : e->live ? AC_EMU_RUNS : AC_EMU_ENDED;
}

// Who waits for what, one line for all threads that are alike.
extern "C" const char* ac_emu_dump(ac_emu* e) {
  e->words.clear();
  char line[256];
  snprintf(line, sizeof line, "%llu switches, %lld messages under way, the last progress %llu switches ago\n",
           e->switches, (long long)e->work, e->switches - e->moved);
  e->words += line;
  for (size_t i = 0; i < e->fibers.size();) {
    const ac_emu_fiber& f = e->fibers[i];
    size_t end = i + 1;
    while (end < e->fibers.size() && e->fibers[end].block.x == f.block.x &&
           e->fibers[end].what == f.what && e->fibers[end].line == f.line &&
           e->fibers[end].where == f.where)
      end++;
    int n = snprintf(line, sizeof line, "block %u threads %u-%u: %s", f.block.x, f.thread.x,
                     e->fibers[end - 1].thread.x, f.what);
    if (f.line) n += snprintf(line + n, sizeof line - n, " at resident.h:%d", f.line);
    if (f.where && strcmp(f.what, "mbarrier") == 0)
      snprintf(line + n, sizeof line - n, ", word %lld of the shared memory",
               (long long)((const unsigned char*)f.where - f.of->shared) / 8);
    else if (f.where)
      snprintf(line + n, sizeof line - n, ", %u of %u are there",
               ((const ac_emu_barrier*)f.where)->arrived, ((const ac_emu_barrier*)f.where)->wanted);
    e->words += line;
    e->words += "\n";
    i = end;
  }
  return e->words.c_str();
}
extern "C" ac_emu_u64 ac_emu_switches(ac_emu* e) { return e->switches; }
extern "C" ac_emu_u64 ac_emu_now(ac_emu* e) { return e->now; }

extern "C" void ac_emu_free(ac_emu* e) {
  for (ac_emu_fiber& f : e->fibers) munmap(f.stack, 128 << 10);
  for (ac_emu_block& block : e->all_blocks) free(block.shared);
  delete e;
}
