// Whom a shard without work visits: no atomics and no threads here, only the choice.
//
// A round looks at two random others of the shard's own locality group (cores that share a
// cache), then at two outside it, then once over the whole load table. Of a pair the more
// promising is visited first: load times the share of past visits that brought something, an
// exponentially weighted mean. Power of two choices: M. Mitzenmacher, "The Power of Two Choices
// in Randomized Load Balancing", 1996. A shard that shows no load is not visited, and a shard
// never considers itself.
//
// The same seed and the same loads give the same visits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace actinium {

class VictimChooser {
  static constexpr double kNews = 0.2;  // weight of the latest visit in the mean

 public:
  // `groups`: the locality group of each shard, this one's included.
  VictimChooser(std::size_t self, const std::vector<std::uint16_t>& groups, std::uint64_t seed)
      : self_(self), success_(groups.size(), 1.0), random_(seed * 2 + 1) {
    for (std::size_t i = 0; i < groups.size(); i++) {
      if (i != self) {
        (groups[i] == groups[self] ? near_ : far_).push_back(i);
      }
    }
  }

  // One round. `load(shard)` is what it shows, 0 for nothing; `visit(shard)` says whether it
  // brought anything and ends the round if so. True: something was brought.
  template <class Load, class Visit>
  bool round(Load&& load, Visit&& visit) {
    const auto learning = [this, &visit](std::size_t shard) {
      const bool found = visit(shard);
      learn(shard, found);
      return found;
    };
    return look(load, learning);
  }

  // The first that a round would visit, or this shard itself when nobody shows any load: for who
  // can only ask, and learns later whether that brought something.
  template <class Load>
  std::size_t choose(Load&& load) {
    std::size_t chosen = self_;
    look(load, [&chosen](std::size_t shard) {
      chosen = shard;
      return true;
    });
    return chosen;
  }

  void learn(std::size_t shard, bool found) {
    success_[shard] += kNews * ((found ? 1.0 : 0.0) - success_[shard]);
  }

  double success(std::size_t shard) const { return success_[shard]; }

 private:
  template <class Load>
  double promise(std::size_t shard, Load& load) const {
    return static_cast<double>(load(shard)) * success_[shard];
  }

  template <class Load, class Visit>
  bool look(Load& load, Visit&& visit) {
    return try_two(near_, load, visit) || try_two(far_, load, visit) || scan(load, visit);
  }

  template <class Load, class Visit>
  bool try_two(const std::vector<std::size_t>& among, Load& load, Visit& visit) {
    if (among.empty()) {
      return false;
    }
    const std::size_t i = below(among.size());
    std::size_t first = among[i];
    if (among.size() == 1) {
      return load(first) > 0 && visit(first);
    }
    const std::size_t j = below(among.size() - 1);
    std::size_t second = among[j < i ? j : j + 1];
    if (promise(second, load) > promise(first, load)) {
      std::swap(first, second);
    }
    return (load(first) > 0 && visit(first)) || (load(second) > 0 && visit(second));
  }

  // The most promising of all, as the table shows them now.
  template <class Load, class Visit>
  bool scan(Load& load, Visit& visit) {
    std::size_t best = self_;
    double most = 0;
    for (std::size_t i = 0; i < success_.size(); i++) {
      const double now = i != self_ ? promise(i, load) : 0;
      if (now > most) {
        most = now;
        best = i;
      }
    }
    return best != self_ && visit(best);
  }

  std::size_t below(std::size_t n) {  // SplitMix64
    std::uint64_t z = (random_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return static_cast<std::size_t>((z ^ (z >> 31)) % n);
  }

  std::size_t self_;
  std::vector<std::size_t> near_;
  std::vector<std::size_t> far_;
  std::vector<double> success_;
  std::uint64_t random_;
};

// How often a shard that finds nothing looks again: after 1, 2, 4 ... 64 turns.
class StealPause {
  static constexpr std::uint32_t kLongest = 64;

 public:
  // Once per turn without own work: whether this is one to look around in.
  bool due() {
    if (left_ > 0) {
      left_--;
      return false;
    }
    return true;
  }

  void found() { next_ = 1; }
  void missed() {
    left_ = next_;
    next_ = next_ < kLongest ? next_ * 2 : kLongest;
  }
  // Something was put in from outside: times have changed.
  void reset() {
    left_ = 0;
    next_ = 1;
  }

 private:
  std::uint32_t left_ = 0;
  std::uint32_t next_ = 1;
};

}  // namespace actinium
