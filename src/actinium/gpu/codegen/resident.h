// The kernel that stays: one text for NVRTC and the emulator. See ../abi for the protocol.
//
// Warp 0 of a block does what concerns the host: it reads the ring, hands each message to the team
// that runs its actor, beats, and looks at the host's line. A team is who waits for work together:
// the other warps of the block (level block) or one warp (level warp, or thread: its 32 lanes run
// an actor each). What is handed over lies in a stage, with an mbarrier that says it is full and
// one that says it is empty again. A place belongs to one unit (a team, or a lane of it) for ever,
// which handles all its messages, commands among them, in order. Teams put replies themselves.
//
// AC_LEVEL, AC_WARPS (of teams), AC_TEAMS, AC_LANES (units of a team), AC_STAGES, AC_IN_LINES,
// AC_OUT_LINES, AC_OUTBOX (bytes of a unit's, 0: it tells nobody), AC_ASKS_CONTEXT and struct
// ac_shared come from resident_cuda.py.
#define AC_FULL 0xffffffffu
#define AC_LOOK_TICKS 20000u       // not below 10 us: a look is a read over PCIe
#define AC_BEAT_NS 250000ull
#define AC_GRACE_NS 500000000ull   // what runs when the host is gone may go on for so long
#ifndef AC_IDLE_POLLS
#define AC_IDLE_POLLS 4096u  // before polls are spaced
#endif
#define AC_SKEW_US 60000000ull
#define AC_IO_THREADS 32u
#define AC_TEAM_THREADS (AC_WARPS * 32u)

enum { AC_FREE = 0, AC_OPEN = 1, AC_FAILED = 2 };  // a place: status, 4 = has held one, generation << 3
enum { AC_KNOWN = 4 };
enum { AC_GO = 0, AC_BOUNCE_STAGED = 1, AC_GIVE_UP = 2 };  // ac_shared.ending
enum { AC_HANDLED_N, AC_BOUNCED_N, AC_FAULTS_N, AC_COMMANDS_N };

// What a block's threads know of it. It lies in shared memory; each copies what it uses.
struct ac_block {
  ac_shared* s;
  const ac_host_line* host;
  const ac_host_block* mine;
  ac_dev_block* dev;
  const ac_u32* kills;  // the host's; copies of them and the places lie in shared memory
  ac_u32* places;
  ac_u32* killed;
  const unsigned char* inits;
  unsigned char* states;
  unsigned char* outboxes;
  const ac_line* h2k;
  ac_line* k2h;
  ac_u64 orphan_ns;
  ac_u64 budget;
  ac_u32 first, actors, mask, stride, stamped, lane;
};
// What warp 0 keeps of the host; lane 0 writes it.
struct ac_io {
  ac_u64 now, beat, alive, heartbeat, wall, ended;
  ac_u32 kill_epoch, seq;
  ac_u32 end;    // a State, 0 while the block runs
  ac_u32 shown;  // running_kind as the host sees it
};
AC_FN ac_io& ac_io_of(const ac_block& b) { return *(ac_io*)b.s->io; }
AC_FN ac_block ac_block_of(ac_shared* s) {
  ac_block b = *(const ac_block*)s->block;
  b.lane = threadIdx.x & 31;
  return b;
}

// One message on its way back.
struct ac_out {
  ac_head head;
  const ac_u32* words;
  ac_u32 before;  // with AC_FLAG_TOLD the first four bytes of the data
};

AC_FN ac_u64 ac_wall_us(const ac_shared* s) { return ac_device_ns() / 1000 + ac_near_ld(&s->wall); }

// The block's hybrid clock: 52 bits of microseconds above a counter of 12, which carries into them.
static AC_COLD ac_u64 ac_stamp(ac_shared* s, ac_u64 after) {
  const ac_u64 wall = ac_wall_us(s);
  if ((after >> 12) > wall + AC_SKEW_US) after = 0;  // HC-3
  for (;;) {
    const ac_u64 last = ac_near_ld(&s->clock);
    ac_u64 next = last + 1;
    if (next < wall << 12) next = wall << 12;
    if (next < after + 1) next = after + 1;
    if (ac_near_cas(&s->clock, last, next) == last) return next;
  }
}

// Puts the messages of those lanes that have one; all lanes of a warp call it. Waits for room; false
// only when the block ends and nobody makes any.
static AC_DEVICE bool ac_emit(const ac_block& b, ac_u32 warp, bool have, const ac_out& out) {
  const ac_u32 who = __ballot_sync(AC_FULL, have);
  const ac_u32 rank = __popc(who & ((1u << b.lane) - 1));
  ac_u32* picks = &b.s->picks[warp * 32];
  if (have) picks[rank] = b.lane;
  const ac_u32 all = __popc(who);
  ac_u32 done = 0;
  while (done < all) {
    ac_u32 first = 0, n = 0;
    if (b.lane == 0) {
      ac_u32 waits = 0;
      for (;;) {
        n = ac_claim((ac_tickets*)b.s->tickets, &b.mine->k2h_read, b.mask + 1, all - done, &first);
        if (n || ac_near_ld(&b.s->ending) == AC_GIVE_UP) break;
        ac_work(0);
        ac_nap(++waits < 64 ? 200 : 2000);
      }
    }
    n = __shfl_sync(AC_FULL, n, 0);
    first = __shfl_sync(AC_FULL, first, 0);
    if (n == 0) return false;
    AC_ROLLED for (ac_u32 at = 0; at < n; at += 8) {  // eight messages at once, four lanes each
      const ac_u32 r = at + (b.lane >> 2);
      const ac_u32 from = r < n ? picks[done + r] : 0;
      ac_head h;
      h.word0 = __shfl_sync(AC_FULL, out.head.word0, from);
      h.dest = __shfl_sync(AC_FULL, out.head.dest, from);
      h.corr = __shfl_sync(AC_FULL, out.head.corr, from);
      h.size = __shfl_sync(AC_FULL, out.head.size, from);
      const ac_u32 before = __shfl_sync(AC_FULL, out.before, from);
      const ac_u32* words = (const ac_u32*)__shfl_sync(AC_FULL, (ac_u64)out.words, from);
      h.clock = 0;
      h.source = h.deadline = 0;
      if (b.stamped) {
        h.clock = __shfl_sync(AC_FULL, out.head.clock, from);
        h.source = __shfl_sync(AC_FULL, out.head.source, from);
        h.deadline = __shfl_sync(AC_FULL, out.head.deadline, from);
      }
      if (r < n) {
        const ac_u32 told = (h.word0 >> 16 & AC_FLAG_TOLD) && !(h.word0 >> 16 & AC_FLAG_BOUNCED) ? 1 : 0;
        const ac_u32 number = first + r;
        ac_line* slot = &b.k2h[(ac_u64)(number & b.mask) * AC_OUT_LINES];
        const ac_u32 wanted = ac_lines_for(h.size, ac_is_stamped(h.word0));
        const ac_u32 lines = wanted < AC_OUT_LINES ? wanted : AC_OUT_LINES;
        AC_ROLLED for (ac_u32 line = 0; line < lines; line++)
          ac_st16(&slot[line].c[b.lane & 3],
                  ac_chunk_of(h, line, b.lane & 3, number + 1, [&](ac_u32 k) {
                    if (k * 4 >= h.size) return 0u;
                    const ac_u32 word = k < told ? before : words[k - told], left = h.size - k * 4;
                    return left >= 4 ? word : word & ((1u << left * 8) - 1);
                  }));
      }
    }
    done += n;
  }
  __syncwarp();
  return true;
}

AC_FN ac_out ac_say(const ac_block& b, ac_u32 flags, ac_u32 kind, ac_u32 dest, ac_u32 corr,
                    const void* data, ac_u32 size) {
  ac_out o;
  o.head.word0 = kind | (flags | (b.stamped ? AC_FLAG_STAMPED : 0u)) << 16;
  o.head.dest = dest;
  o.head.corr = corr;
  o.head.clock = b.stamped ? ac_stamp(b.s, 0) : 0;
  o.head.source = dest;
  o.head.deadline = 0;
  o.head.size = size;
  o.words = (const ac_u32*)data;
  o.before = 0;
  return o;
}
AC_FN ac_out ac_back(const ac_entry* e, ac_u32 reason) {
  ac_out o;
  o.head = {e->word0 | (AC_FLAG_BOUNCED | reason << AC_REASON_SHIFT) << 16,
            e->dest, e->corr, e->source, e->clock, e->deadline, e->size};
  o.words = (const ac_u32*)e->data;
  o.before = 0;
  return o;
}

// Why a message does not run; 0: it runs.
AC_FN ac_u32 ac_refused(const ac_block& b, const ac_entry* e) {
  const ac_u32 place = (e->dest & ((1u << AC_INDEX_BITS) - 1)) - b.first;
  if (place >= b.actors) return AC_REASON_NO_ACTOR;
  const ac_u32 word = b.places[place], status = word & 3, generation = e->dest >> AC_INDEX_BITS;
  if (status == AC_FREE) return AC_REASON_NO_ACTOR;
  if (word >> 3 != generation) return AC_REASON_STALE;
  if (ac_near_ld(&b.killed[place]) == generation + 1) return AC_REASON_STOPPED;
  if (status == AC_FAILED) return AC_REASON_SUSPENDED;
  if (ac_near_ld(&b.s->ending)) return AC_REASON_STOPPED;
  if (ac_is_stamped(e->word0) && e->deadline && ac_wall_us(b.s) > (e->clock >> 12) + e->deadline)
    return AC_REASON_EXPIRED;
  return e->known ? 0 : AC_REASON_UNKNOWN_KIND;
}

// A command that acts on a place: its status, and whether the state starts anew.
AC_FN ac_u32 ac_command(const ac_block& b, const ac_entry* e, bool* anew) {
  const ac_u32 kind = e->word0 & 0xffffu, generation = e->dest >> AC_INDEX_BITS;
  const ac_u32 place = (e->dest & ((1u << AC_INDEX_BITS) - 1)) - b.first;
  if (place >= b.actors) return AC_STATUS_BAD_ARG;
  const ac_u32 word = b.places[place], status = word & 3;
  const bool same = (word & AC_KNOWN) && word >> 3 == generation;
  if (kind == AC_COMMAND_STOP) {
    if (!same) return AC_STATUS_BAD_STATE;
    b.places[place] = generation << 3 | AC_KNOWN | AC_FREE;
    return AC_STATUS_OK;
  }
  if (kind == AC_COMMAND_RESUME) {
    if (!same || status == AC_FREE) return AC_STATUS_BAD_STATE;
    b.places[place] = generation << 3 | AC_KNOWN | AC_OPEN;
    return AC_STATUS_OK;
  }
  if (same) return status == AC_OPEN ? AC_STATUS_OK : AC_STATUS_BAD_STATE;
  if ((kind == AC_COMMAND_SPAWN) != (status == AC_FREE)) return AC_STATUS_BAD_STATE;
  b.places[place] = generation << 3 | AC_KNOWN | AC_OPEN;
  *anew = true;
  return AC_STATUS_OK;
}

// The state that an actor starts with; all lanes of the warp call it.
static AC_COLD void ac_renew(ac_shared* s, ac_u32 place) {
  const ac_block b = ac_block_of(s);
  const ac_chunk* from = (const ac_chunk*)(b.inits + (ac_u64)place * b.stride);
  ac_u32* to = (ac_u32*)(b.states + (ac_u64)place * b.stride);
  ac_fence_system();  // the host wrote it before the command
  AC_ROLLED for (ac_u32 i = b.lane; i < b.stride / 16; i += 32) {
    const ac_chunk c = ac_ld16(&from[i]);
    to[i * 4] = c.w[0];
    to[i * 4 + 1] = c.w[1];
    to[i * 4 + 2] = c.w[2];
    to[i * 4 + 3] = c.tag;
  }
}

AC_FN void ac_sync_team() {
  if (AC_LEVEL == 2) ac_bar(1, AC_TEAM_THREADS);
  else __syncwarp();
}

// What a team does until its block ends. Only the first warp of a block's team decides and answers.
static AC_DEVICE void ac_team(const ac_block& b, ac_u32 team, bool leads) {
  ac_shared* const s = b.s;
  const ac_u32 unit = AC_LANES == 1 ? team : team * AC_LANES + b.lane;
  const bool speaks = AC_LANES > 1 || b.lane == 0;
  ac_ctx* const ctx = (ac_ctx*)s->ctx + unit;
  ac_u64* const reply = &s->replies[unit * AC_REPLY_WORDS];
  ac_u64* const counts = &s->counts[team * 4];
  for (ac_u32 n = 0;; n++) {
    const ac_u32 stage = team * AC_STAGES + n % AC_STAGES;
    ac_entry* const e = &s->entries[stage * AC_LANES + (AC_LANES > 1 ? b.lane : 0)];
    bool has = false, runs = false, command = false;
    ac_u32 why = 0;
    if (leads) {
      while (!ac_mb_try(&s->full[stage], n / AC_STAGES & 1)) {
      }
      const ac_u32 mask = s->masks[stage];
      if (mask == 0) {  // the block ends
        if (AC_LEVEL == 2 && b.lane == 0) s->verdict = 2;
        ac_sync_team();
        if (b.lane == 0) atomicAdd(&s->gone, 1u);
        return;
      }
      has = AC_LANES == 1 || (mask >> b.lane & 1);
      if (has) {
        command = (e->word0 & 0xffffu) < AC_USER;
        if (!command) why = ac_refused(b, e);
        runs = !command && why == 0;
        if (runs && speaks) {
          ctx->fault = ctx->told = 0;
          ctx->budget = b.budget;
          if (AC_OUTBOX) {
            ctx->outbox = b.outboxes + (ac_u64)unit * AC_OUTBOX;
            ctx->room = AC_OUTBOX;
          }
          if (AC_ASKS_CONTEXT) {
            ctx->now = ac_wall_us(s);
            ctx->me = e->dest;
            ctx->sender = e->word0 >> 16 & AC_FLAG_SENDER ? e->data[0] : 0;
          }
          s->running[unit] = e->dest;
          ac_near_st(&s->running_kind[unit], e->word0 & 0xffffu);
          if (ac_is_stamped(e->word0)) ac_stamp(s, e->clock);
        }
      }
      if (AC_LEVEL == 2 && b.lane == 0) s->verdict = runs ? 1 : 0;
    }
    ac_sync_team();
    if (AC_LEVEL == 2 && !leads) {
      const ac_u32 verdict = s->verdict;
      if (verdict == 2) return;
      runs = verdict == 1;
    }
    const ac_u32 place = (e->dest & ((1u << AC_INDEX_BITS) - 1)) - b.first;
    if (runs) {
      const unsigned char* data = (const unsigned char*)e->data;
      ac_handle(ctx, b.states + (ac_u64)place * b.stride, e->word0 & 0xffffu,
                data + (e->word0 >> 16 & AC_FLAG_SENDER ? 8 : 0), reply);
    }
    if (!leads) continue;
    if (AC_LANES > 1) __syncwarp();

    bool anew = false, speak = has && speaks, failed = false;
    ac_out out;
    if (speak && command) {
      const ac_u32 status = ac_command(b, e, &anew);
      reply[0] = status;
      out = ac_say(b, AC_FLAG_REPLY, e->word0 & 0xffffu, e->dest, e->corr, reply, 8);
    } else if (speak && why) {
      out = ac_back(e, why);
    } else if (speak) {
      ac_near_st(&s->running_kind[unit], 0u);
      const ac_u32 kind = e->word0 & 0xffffu, fault = ctx->fault;
      failed = fault != 0;
      if (failed) {
        b.places[place] = (b.places[place] & ~3u) | AC_FAILED;
        reply[0] = AC_STATUS_FAULT | (ac_u64)fault << 32;
        reply[1] = 0;
        out = ac_say(b, AC_FLAG_REPLY | AC_FLAG_ERROR, kind, e->dest, e->corr, reply, 12);
      } else if (e->corr) {
        out = ac_say(b, AC_FLAG_REPLY, kind, e->dest, e->corr, reply, ac_reply_size(kind));
      } else {
        speak = false;
      }
    }
    ac_u32 left = __ballot_sync(AC_FULL, anew);
    AC_ROLLED for (; left; left &= left - 1) ac_renew(s, __shfl_sync(AC_FULL, place, __ffs(left) - 1));
    __syncwarp();
    const ac_u32 faults = __ballot_sync(AC_FULL, failed);
    const ac_u32 bounces = __ballot_sync(AC_FULL, has && speaks && why != 0);
    const ac_u32 commands = __ballot_sync(AC_FULL, has && speaks && command);
    const ac_u32 handled = __ballot_sync(AC_FULL, has && speaks && runs && !failed);
    if (b.lane == 0) {
      counts[AC_HANDLED_N] += __popc(handled);
      counts[AC_BOUNCED_N] += __popc(bounces) + __popc(faults);
      counts[AC_FAULTS_N] += __popc(faults);
      counts[AC_COMMANDS_N] += __popc(commands);
    }
    if (AC_OUTBOX) {  // what handlers told, before their replies; of one that failed nothing
      const bool tells = has && speaks && runs && !failed;
      ac_u32 at = 0;
      AC_ROLLED for (;;) {
        const bool more = tells && at < ctx->told;
        if (!__ballot_sync(AC_FULL, more)) break;
        ac_out told;
        if (more) {
          const ac_told* const t = (const ac_told*)(ctx->outbox + at);
          told = ac_say(b, AC_FLAG_TOLD, t->kind, (ac_u32)t->to, (ac_u32)(t->to >> 32), t + 1, t->size + 4);
          told.head.source = told.before = e->dest;
          at += (ac_u32)sizeof(ac_told) + ((t->size + 7u) & ~7u);
        }
        ac_emit(b, team, more, told);
      }
    }
    AC_ROLLED for (int round = 0; round < (faults ? 2 : 1); round++) {
      if (__ballot_sync(AC_FULL, speak)) ac_emit(b, team, speak, out);
      speak = failed;
      if (failed) out = ac_back(e, AC_REASON_FAILED);
    }
    __syncwarp();
    if (b.lane == 0) {
      ac_work(-(int)__popc(handled | faults | bounces | commands));
      ac_mb_arrive(&s->empty[stage]);
    }
  }
}

static AC_COLD void ac_counters(ac_shared* s) {
  const ac_block b = ac_block_of(s);
  ac_io& io = ac_io_of(b);
  if (b.lane == 0) {
    ac_u64 sums[4] = {0, 0, 0, 0};
    ac_u32 unit = 0;
    AC_ROLLED for (ac_u32 t = 0; t <= AC_TEAMS; t++)
      for (int i = 0; i < 4; i++) sums[i] += ac_near_ld(&s->counts[t * 4 + i]);
    AC_ROLLED while (unit + 1 < AC_TEAMS * AC_LANES && ac_near_ld(&s->running_kind[unit]) == 0) unit++;
    const ac_u32 kind = ac_near_ld(&s->running_kind[unit]);
    ac_dev_block* d = b.dev;
    ac_st32(&d->seq, io.seq + 1);
    ac_fence_system();
    ac_st64(&d->heartbeat, io.now);
    ac_st64(&d->handled, sums[AC_HANDLED_N]);
    ac_st64(&d->bounced, sums[AC_BOUNCED_N]);
    ac_st64(&d->faults, sums[AC_FAULTS_N]);
    ac_st64(&d->commands, sums[AC_COMMANDS_N]);
    ac_st32(&d->k2h_written, ac_near_ld(&s->tickets[0]));
    if (kind) ac_st32(&d->running, ac_near_ld(&s->running[unit]));
    if (kind && kind != io.shown) ac_st64(&d->since, io.now);
    ac_st32(&d->running_kind, kind);
    ac_fence_system();
    io.seq += 2;
    ac_st32(&d->seq, io.seq);
    io.shown = kind;
  }
  __syncwarp();
}

// Asks for the host's words; they come while the ring is read.
AC_FN ac_u64 ac_ask_host(const ac_block& b) {
  const void* const at = b.lane == 0   ? (const void*)&b.host->heartbeat
                         : b.lane == 1 ? (const void*)&b.host->wall_us
                         : b.lane == 2 ? (const void*)&b.host->stop
                                       : (const void*)&b.mine->k2h_read;
  return b.lane < 4 ? ac_ld64((const ac_u64*)at) : 0;
}

static AC_COLD void ac_hear_host(ac_shared* s, ac_u64 word) {
  const ac_block b = ac_block_of(s);
  ac_io& io = ac_io_of(b);
  const ac_u64 now = __shfl_sync(AC_FULL, ac_device_ns(), 0);
  const ac_u64 heartbeat = __shfl_sync(AC_FULL, word, 0), wall = __shfl_sync(AC_FULL, word, 1);
  const ac_u32 stop = (ac_u32)__shfl_sync(AC_FULL, word, 2);
  const ac_u64 mine = __shfl_sync(AC_FULL, word, 3);
  const ac_u32 epoch = (ac_u32)(mine >> 32);
  if (epoch != io.kill_epoch) {
    ac_fence_system();
    AC_ROLLED for (ac_u32 i = b.lane; i < b.actors; i += 32)
      ac_near_st(&b.killed[i], ac_ld32(&b.kills[i]));
  }
  const bool beats = now - io.beat >= AC_BEAT_NS;
  __syncwarp();
  if (b.lane == 0) {
    io.now = now;
    io.kill_epoch = epoch;
    ac_near_st(&s->tickets[1], (ac_u32)mine + b.mask + 1);
    if (wall != io.wall) ac_near_st(&s->wall, wall - now / 1000);
    io.wall = wall;
    if (heartbeat != io.heartbeat) io.alive = now;
    io.heartbeat = heartbeat;
    if (b.orphan_ns && now - io.alive > b.orphan_ns) {
      if (io.end != AC_STATE_ORPHANED) {
        io.ended = now;
        io.end = AC_STATE_ORPHANED;
      } else if (now - io.ended > AC_GRACE_NS) {
        ac_trap();  // a handler that does not end, and nobody who could end it
      }
      ac_near_st(&s->ending, (ac_u32)AC_GIVE_UP);
    } else if (stop == AC_STOP_NOW && io.end == 0) {
      io.end = AC_STATE_ENDED;
      ac_near_st(&s->ending, (ac_u32)AC_BOUNCE_STAGED);
    }
    if (beats) io.beat = now;
  }
  __syncwarp();
  if (beats) ac_counters(s);
}

// Waits until the stage that was filled as number `filled` is empty, and goes on beating.
static AC_COLD void ac_await(ac_shared* s, ac_u32 team, ac_u32 filled) {
  const ac_block b = ac_block_of(s);
  const ac_u32 stage = team * AC_STAGES + filled % AC_STAGES;
  ac_u64 looked = ac_ticks();
  while (__ballot_sync(AC_FULL, !ac_mb_try(&s->empty[stage], filled / AC_STAGES & 1))) {
    const ac_u64 ticks = __shfl_sync(AC_FULL, ac_ticks(), 0);
    if (ticks - looked < AC_LOOK_TICKS) continue;
    looked = ticks;
    ac_hear_host(s, ac_ask_host(b));
  }
}

// Hands a team the stage that is open.
AC_FN void ac_publish(ac_shared* s, ac_u32 lane, ac_u32 team) {
  __syncwarp();
  if (lane == 0) {
    const ac_u32 stage = team * AC_STAGES + s->put[team] % AC_STAGES;
    s->masks[stage] = s->open[team];
    s->open[team] = 0;
    s->put[team]++;
    ac_mb_arrive(&s->full[stage]);
  }
  __syncwarp();
}

// The room for a message to a unit.
AC_FN ac_entry* ac_room(ac_shared* s, ac_u32 lane, ac_u32 team, ac_u32 unit) {
  if (AC_LANES > 1 && (s->open[team] >> unit & 1)) ac_publish(s, lane, team);
  const ac_u32 put = s->put[team];
  if (s->open[team] == 0 && put >= AC_STAGES) ac_await(s, team, put - AC_STAGES);
  return &s->entries[(team * AC_STAGES + put % AC_STAGES) * AC_LANES + unit];
}

// All that was handed over before is done.
static AC_COLD void ac_drain(ac_shared* s) {
  AC_ROLLED for (ac_u32 t = 0; t < AC_TEAMS; t++) {
    if (s->open[t]) ac_publish(s, threadIdx.x & 31, t);
    if (s->put[t]) ac_await(s, t, s->put[t] - 1);
  }
}

// Commands that no actor runs. All lanes have the same arguments.
static AC_COLD void ac_answer(ac_shared* s, ac_u32 kind, ac_u32 dest, ac_u32 corr) {
  const ac_block b = ac_block_of(s);
  const bool stats = kind == AC_COMMAND_STATS, poison = kind == AC_COMMAND_POISON;
  const bool ping = kind == AC_COMMAND_PING;
  if (stats || poison) ac_drain(s);
  if (b.lane == 0) {
    s->counts[AC_TEAMS * 4 + AC_COMMANDS_N]++;
    s->said[0] = ping || stats || poison ? AC_STATUS_OK : AC_STATUS_UNSUPPORTED;
    s->said[1] = ac_device_ns();
  }
  __syncwarp();
  if (stats && b.lane < 3) {
    ac_u64 sum = 0;
    AC_ROLLED for (ac_u32 t = 0; t <= AC_TEAMS; t++) sum += ac_near_ld(&s->counts[t * 4 + b.lane]);
    s->said[1 + b.lane] = sum;
  }
  __syncwarp();
  ac_out out;
  if (b.lane == 0) out = ac_say(b, AC_FLAG_REPLY, kind, dest, corr, s->said, stats ? 32 : ping ? 16 : 8);
  ac_emit(b, AC_TEAMS, b.lane == 0, out);
  if (poison && b.lane == 0 && ac_io_of(b).end == 0) ac_io_of(b).end = AC_STATE_ENDED;
  __syncwarp();
}

static AC_DEVICE void ac_serve_host(const ac_block& b) {
  ac_shared* const s = b.s;
  constexpr ac_u32 L = AC_IN_LINES;
  constexpr ac_u32 per_read = L <= 8 ? 8 / L : 1;  // slots of one read: eight lines of four chunks
  constexpr ac_u32 seen_lines = L <= 8 ? L : 8;
  const ac_u32 chunk = b.lane & 3;
  const ac_u32 my_slot = (b.lane >> 2) / seen_lines, my_line = (b.lane >> 2) % seen_lines;
  ac_io& io = ac_io_of(b);
  if (b.lane == 0) {
    io.now = io.beat = io.alive = ac_device_ns();
    io.heartbeat = ~0ull;
    io.kill_epoch = ~0u;
  }
  __syncwarp();
  ac_hear_host(s, ac_ask_host(b));
  if (b.lane == 0) {
    ac_st64(&b.dev->heartbeat, io.now);
    ac_st32(&b.dev->state, AC_STATE_RUNNING);
  }
  ac_u64 looked = __shfl_sync(AC_FULL, ac_ticks(), 0);
  ac_u32 read = 0, posted = 0;
  ac_u32 idle = 0;
  bool wide = false;
  while (ac_near_ld(&io.end) == 0) {
    const ac_u64 ticks = __shfl_sync(AC_FULL, ac_ticks(), 0);
    const bool look = ticks - looked >= AC_LOOK_TICKS;
    const ac_u64 host = look ? ac_ask_host(b) : 0;
    const ac_u32 slots = wide ? per_read : 1;  // an idle block reads one slot at a time
    ac_chunk c = {};
    if (my_slot < slots)
      c = ac_ld16(&b.h2k[(ac_u64)((read + my_slot) & b.mask) * L + my_line].c[chunk]);
    if (look) {
      looked = ticks;
      ac_hear_host(s, host);
      if (ac_near_ld(&io.end)) break;
    }
    const ac_u32 there = __ballot_sync(AC_FULL, my_slot < slots && c.tag == read + my_slot + 1);
    const ac_u32 lines_there = there & there >> 1 & there >> 2 & there >> 3 & 0x11111111u;
    ac_u32 taken = 0;
    AC_ROLLED for (; taken < slots && ac_near_ld(&io.end) == 0; taken++) {
      const ac_u32 first_lane = taken * seen_lines * 4;
      if (!(lines_there >> first_lane & 1)) break;
      const ac_u32 word0 = __shfl_sync(AC_FULL, c.w[0], first_lane);
      const ac_u32 dest = __shfl_sync(AC_FULL, c.w[1], first_lane);
      const ac_u32 corr = __shfl_sync(AC_FULL, c.w[2], first_lane);
      const ac_u32 kind = word0 & 0xffffu;
      const bool stamped = ac_is_stamped(word0);
      ac_u32 size = 0;
      bool known = true;
      if (kind >= AC_USER) {
        size = ac_message_size(kind);
        known = size < 1u << 31;
        size += word0 >> 16 & AC_FLAG_SENDER ? 8 : 0;
        known = known && ac_lines_for(size, stamped) <= L;
        if (!known) size = stamped ? AC_INLINE_STAMPED : AC_INLINE;
      }
      const ac_u32 lines = ac_lines_for(size, stamped), near = lines < seen_lines ? lines : seen_lines;
      const ac_u32 all = 0x11111111u >> (32 - near * 4) << first_lane;
      if ((lines_there & all) != all) break;
      const bool for_actor = kind >= AC_USER || kind == AC_COMMAND_RESET ||
                             kind == AC_COMMAND_SPAWN || kind == AC_COMMAND_STOP ||
                             kind == AC_COMMAND_RESUME;
      if (!for_actor) {
        ac_answer(s, kind, dest, corr);
        continue;
      }
      const ac_u32 place = (dest & ((1u << AC_INDEX_BITS) - 1)) - b.first;
      const ac_u32 unit = place < b.actors ? place % (AC_TEAMS * AC_LANES) : 0;
      const ac_u32 team = unit / AC_LANES;
      ac_entry* const e = ac_room(s, b.lane, team, unit % AC_LANES);
      ac_u32* const words = (ac_u32*)e->data;
      if (my_slot == taken && my_line < near) {
        const ac_i32 at = ac_word_at(my_line, chunk, stamped);
        if (at >= 0) {
          for (int i = 0; i < 3; i++) words[at + i] = c.w[i];
        } else if (chunk == 0) {
          e->word0 = word0;
          e->dest = dest;
          e->corr = corr;
          e->size = size;
          e->known = known;
        } else if (chunk == 1) {
          e->clock = c.w[0] | (ac_u64)c.w[1] << 32;
          e->source = c.w[2];
        } else {
          e->deadline = c.w[0];
        }
      }
      bool whole = true;  // a slot of more than eight lines: the others now
      for (ac_u32 line = 8 + (b.lane >> 2); line < (lines + 7) / 8 * 8 && L > 8; line += 8) {
        bool ok = true;
        if (line < lines) {
          const ac_chunk more = ac_ld16(&b.h2k[(ac_u64)((read + taken) & b.mask) * L + line].c[chunk]);
          ok = more.tag == read + taken + 1;
          for (int i = 0; i < 3; i++) words[ac_word_at(line, chunk, stamped) + i] = more.w[i];
        }
        if (__ballot_sync(AC_FULL, !ok)) {
          whole = false;
          break;
        }
      }
      if (!whole) break;
      __syncwarp();
      if (b.lane == 0) {
        s->open[team] |= 1u << unit % AC_LANES;
        ac_work(1);
      }
      __syncwarp();
      if (AC_LANES == 1) ac_publish(s, b.lane, team);
    }
    if (AC_LANES > 1)
      AC_ROLLED for (ac_u32 t = 0; t < AC_TEAMS; t++)
        if (s->open[t]) ac_publish(s, b.lane, t);
    read += taken;
    wide = taken != 0 || (lines_there & 1);
    if (read - posted >= (b.mask + 1) / 16 || (taken == 0 && read != posted)) {
      posted = read;
      if (b.lane == 0) ac_st32(&b.dev->h2k_read, read);
    }
    idle = taken ? 0 : idle + 1;
    if (idle > AC_IDLE_POLLS) {
      idle = AC_IDLE_POLLS;
      ac_nap(200);
    }
  }
  if (b.lane == 0 && ac_near_ld(&s->ending) == AC_GO) ac_near_st(&s->ending, (ac_u32)AC_BOUNCE_STAGED);
  AC_ROLLED for (ac_u32 t = 0; t < AC_TEAMS; t++) {  // a stage for nobody: the team leaves
    if (s->open[t]) ac_publish(s, b.lane, t);
    if (s->put[t] >= AC_STAGES) ac_await(s, t, s->put[t] - AC_STAGES);
    ac_publish(s, b.lane, t);
  }
  while (__shfl_sync(AC_FULL, ac_near_ld(&s->gone), 0) < AC_TEAMS) {
    ac_nap(1000);
    ac_hear_host(s, ac_ask_host(b));
  }
  if (b.lane == 0) {
    io.now = ac_device_ns();
    ac_st32(&b.dev->h2k_read, read);
  }
  __syncwarp();
  ac_counters(s);
  if (b.lane == 0) ac_st32(&b.dev->state, io.end);
}

extern "C" __global__ void __launch_bounds__(AC_IO_THREADS + AC_TEAM_THREADS, 1)
ac_resident(unsigned char* region, unsigned char* states) {
  AC_SHARED(memory);
  const ac_config* const c = (const ac_config*)region;
  ac_shared* const s = (ac_shared*)memory;
  const ac_u32 words = sizeof(ac_shared) / 4 + 2 * c->actors;
  AC_ROLLED for (ac_u32 i = threadIdx.x; i < words; i += blockDim.x) ((ac_u32*)memory)[i] = 0;
  __syncthreads();
  if (threadIdx.x == 0) {
    static_assert(sizeof(ac_block) <= sizeof s->block && sizeof(ac_io) <= sizeof s->io, "no room");
    ac_block& b = *(ac_block*)s->block;
    b.s = s;
    b.actors = c->actors;
    b.first = blockIdx.x * b.actors;
    b.places = (ac_u32*)(memory + sizeof(ac_shared));
    b.killed = b.places + b.actors;
    b.host = (const ac_host_line*)(region + c->host_line);
    b.mine = (const ac_host_block*)(region + c->host_blocks) + blockIdx.x;
    b.dev = (ac_dev_block*)(region + c->dev_blocks) + blockIdx.x;
    b.kills = (const ac_u32*)(region + c->kills) + b.first;
    b.stride = c->state_stride;
    b.inits = region + c->inits + (ac_u64)b.first * b.stride;
    b.states = states + (ac_u64)b.first * b.stride;
    b.outboxes = states + (ac_u64)gridDim.x * c->actors * b.stride +
                 (ac_u64)blockIdx.x * (AC_TEAMS * AC_LANES * AC_OUTBOX);
    b.mask = c->capacity - 1;
    b.h2k = (const ac_line*)(region + c->h2k) + (ac_u64)blockIdx.x * c->capacity * AC_IN_LINES;
    b.k2h = (ac_line*)(region + c->k2h) + (ac_u64)blockIdx.x * c->capacity * AC_OUT_LINES;
    b.orphan_ns = c->orphan_ns;
    b.budget = c->budget;
    b.stamped = c->stamped;
    s->tickets[1] = c->capacity;
    AC_ROLLED for (ac_u32 i = 0; i < AC_TEAMS * AC_STAGES; i++) {
      ac_mb_init(&s->full[i], 1);
      ac_mb_init(&s->empty[i], 1);
    }
    if (c->in_lines != AC_IN_LINES || c->out_lines != AC_OUT_LINES) ac_trap();
  }
  __syncthreads();
  const ac_block b = ac_block_of(s);
  const ac_u32 warp = threadIdx.x >> 5;
  if (warp == 0) ac_serve_host(b);
  else if (AC_LEVEL == 2) ac_team(b, 0, warp == 1);
  else ac_team(b, warp - 1, true);
}
