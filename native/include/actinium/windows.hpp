// What was used in windows of time, and limits on it that are checked and charged together.
//
// Counters of many nodes merge in any order (LM-1): for each window a node holds what it charged
// and what of that it gave back; both only grow, and the larger number holds. Windows are numbers
// that grow with time (a second, a minute, a month); those before `first` count no more.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace actinium {

// Sums of amounts, which are 64 bits wide: they cannot overflow.
__extension__ using Sum = __int128;

struct WindowEntry {
  std::int64_t window;
  Sum charged;
  Sum back;

  Sum left() const { return charged - back; }
};

class Windows {
 public:
  Sum own() const { return own_; }        // what this node charged and did not give back
  Sum others() const { return others_; }  // likewise all other nodes
  std::int64_t first() const { return first_; }
  const std::vector<WindowEntry>& entries() const { return mine_; }

  struct Other {
    std::string node;
    WindowEntry entry;
  };
  const std::vector<Other>& theirs() const { return theirs_; }

  // The last window that this node holds; -1 where there is none.
  std::int64_t latest() const { return mine_.empty() ? -1 : mine_.back().window; }

  // A window that is over counts no more.
  void charge(std::int64_t window, Sum amount) {
    if (window < first_) return;
    entry(window).charged += amount;
    own_ += amount;
  }

  // What is given back in a window that is over, or that was never charged, is nothing.
  void refund(std::int64_t window, Sum amount) {
    WindowEntry* const found = find(window);
    if (found == nullptr) return;
    found->back += amount;
    own_ -= amount;
  }

  void advance(std::int64_t first) {
    if (first <= first_) return;
    first_ = first;
    std::size_t over = 0;
    while (over < mine_.size() && mine_[over].window < first)
      own_ -= mine_[over++].left();
    if (over != 0) mine_.erase(mine_.begin(), mine_.begin() + static_cast<std::ptrdiff_t>(over));
    if (theirs_.empty()) return;
    for (const Other& other : theirs_) {
      if (other.entry.window < first) others_ -= other.entry.left();
    }
    std::erase_if(theirs_, [first](const Other& o) { return o.entry.window < first; });
  }

  // Takes in what is known of this node: it may have been restarted.
  void merge_own(std::int64_t window, Sum charged, Sum back) {
    if (window < first_ || (charged == 0 && back == 0)) return;
    WindowEntry& mine = entry(window);
    own_ += larger(mine, charged, back);
  }

  void merge_other(const std::string& node, std::int64_t window, Sum charged, Sum back) {
    if (window < first_ || (charged == 0 && back == 0)) return;
    for (Other& other : theirs_) {
      if (other.entry.window == window && other.node == node) {
        others_ += larger(other.entry, charged, back);
        return;
      }
    }
    theirs_.push_back({node, {window, 0, 0}});
    others_ += larger(theirs_.back().entry, charged, back);
  }

 private:
  static Sum larger(WindowEntry& entry, Sum charged, Sum back) {
    const Sum before = entry.left();
    entry.charged = std::max(entry.charged, charged);
    entry.back = std::max(entry.back, back);
    return entry.left() - before;
  }

  std::size_t place(std::int64_t window) const {
    // Most often it is the last one.
    std::size_t at = mine_.size();
    while (at > 0 && mine_[at - 1].window >= window)
      at--;
    return at;
  }

  WindowEntry* find(std::int64_t window) {
    const std::size_t at = place(window);
    return at < mine_.size() && mine_[at].window == window ? &mine_[at] : nullptr;
  }

  WindowEntry& entry(std::int64_t window) {
    const std::size_t at = place(window);
    if (at == mine_.size() || mine_[at].window != window) {
      mine_.insert(mine_.begin() + static_cast<std::ptrdiff_t>(at), {window, 0, 0});
    }
    return mine_[at];
  }

  Sum own_ = 0;
  Sum others_ = 0;
  std::int64_t first_ = 0;
  std::vector<WindowEntry> mine_;  // in the order of their windows: some dozens at most
  std::vector<Other> theirs_;
};

// What is left of the limit of one amount, and the seconds until all of it is.
struct Rest {
  Sum limit = -1;  // below 0: there is none
  Sum left = 0;
  std::int64_t seconds = 0;
};

// Several limits that one thing is charged to at once, or not at all.
//
// A request has up to four amounts (such as 1, tokens, tokens in, tokens out); each row counts one
// of them. With a span the windows are seconds, and those of the last `span` count; without, each
// row has the window that was set for it.
class Bound {
 public:
  static constexpr std::size_t kAmounts = 4;
  static constexpr std::size_t kRows = 4;
  using Amounts = std::int64_t[kAmounts];

  struct Row {
    Windows* windows = nullptr;
    std::size_t place = 0;
    std::int64_t window = 0;  // where there is no span
    Sum limit = -1;           // below 0: only counted
  };
  // What one thing was charged, for its end.
  struct Charged {
    Amounts amounts = {};
    std::int64_t windows[kRows] = {};
    std::size_t rows = 0;
  };

  Row rows[kRows];
  std::size_t count = 0;
  std::int64_t span = 0;
  std::int64_t most = -1;  // things at once; below 0: any number
  std::int64_t running = 0;
  Sum held[kAmounts] = {};  // of what has not ended
  Sum settled = 0;          // of the first amount, what ended things really used

  // Whether all of it fits now.
  bool fits(std::int64_t second, const Amounts& amounts) const {
    if (most >= 0 && running >= most) return false;
    for (std::size_t i = 0; i < count; i++) {
      const Row& row = rows[i];
      if (span != 0) row.windows->advance(second - span + 1);
      if (row.limit >= 0 &&
          row.windows->own() + row.windows->others() + amounts[row.place] > row.limit) {
        return false;
      }
    }
    return true;
  }

  // Makes each amount's entry that of a limit here, where less is left of this.
  void rest(std::int64_t second, Rest (&rests)[kAmounts]) const {
    for (std::size_t i = 0; i < count; i++) {
      const Row& row = rows[i];
      if (row.limit < 0) continue;
      Windows& windows = *row.windows;
      windows.advance(second - span + 1);
      const Sum left = std::max(Sum{0}, row.limit - windows.own() - windows.others());
      Rest& rest = rests[row.place];
      if (rest.limit >= 0 && rest.left <= left) continue;
      const std::int64_t latest = windows.latest();
      rest = {row.limit, left, latest >= 0 ? latest + span - second : 0};
    }
  }

  // Charges it, whether it fits or not.
  Charged take(std::int64_t second, const Amounts& amounts) {
    Charged charged;
    running++;
    for (std::size_t i = 0; i < kAmounts; i++) {
      held[i] += amounts[i];
      charged.amounts[i] = amounts[i];
    }
    charged.rows = count;
    for (std::size_t i = 0; i < count; i++) {
      charged.windows[i] = span != 0 ? second : rows[i].window;
      rows[i].windows->charge(charged.windows[i], amounts[rows[i].place]);
    }
    return charged;
  }

  // It has ended, and used so much. What a second that is over cannot take any more is paid now;
  // a calendar's window that is over is closed.
  void settle(std::int64_t second, const Charged& charged, const Amounts& used) {
    running--;
    settled += used[0];
    for (std::size_t i = 0; i < kAmounts; i++)
      held[i] -= charged.amounts[i];
    for (std::size_t i = 0; i < charged.rows && i < count; i++) {
      Windows& windows = *rows[i].windows;
      const std::size_t place = rows[i].place;
      const Sum change = Sum(used[place]) - charged.amounts[place];
      if (change < 0) {
        windows.refund(charged.windows[i], -change);
      } else if (change > 0) {
        const std::int64_t window = charged.windows[i];
        windows.charge(span != 0 ? std::max(window, second - span + 1) : window, change);
      }
    }
  }
};

}  // namespace actinium
