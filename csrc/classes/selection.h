// A set of classes that changes one class at a time, and the random numbers that searches draw.
#pragma once

#include <cstdint>

#include "classes/weight_graph.h"
#include "core/array.h"

namespace rescale_fast {

// splitmix64 (Steele, Lea and Flood 2014): the same numbers on every platform, unlike std's distributions.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t bits() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1.0p-53; }  // [0, 1)
  std::int64_t below(std::int64_t n) { return static_cast<std::int64_t>(uniform() * static_cast<double>(n)); }

 private:
  std::uint64_t state_;
};

// A set of classes, the weight of each class to those inside, and the value, kept up to date by add and drop.
class Selection {
 public:
  Selection(const WeightGraph& graph, const Array<std::int64_t>& classes)
      : graph_(graph), gain_(graph.num_classes(), 0.0), place_(graph.num_classes(), -1) {
    for (const std::int64_t c : classes) add(c);
  }

  void add(std::int64_t c) {
    value_ += gain(c);
    place_[c] = members_.size();
    members_.push_back(c);
    update(c, 1.0);
  }
  void drop(std::int64_t c) {
    value_ -= gain(c);
    const std::int64_t hole = place_[c];
    members_[hole] = members_.back();
    place_[members_.back()] = hole;
    members_.pop_back();
    place_[c] = -1;
    update(c, -1.0);
  }
  bool has(std::int64_t c) const { return place_[c] >= 0; }
  double gain(std::int64_t c) const { return gain_[c]; }
  double value() const { return value_; }
  std::int64_t work() const { return work_; }  // entries written, ever
  std::int64_t size() const { return members_.size(); }
  std::int64_t member(std::int64_t i) const { return members_[i]; }
  const Array<std::int64_t>& members() const { return members_; }

 private:
  void update(std::int64_t c, double sign) {
    if (graph_.is_dense()) {
      const double* row = graph_.row(c);
      for (std::int64_t i = 0; i < gain_.size(); ++i) gain_[i] += sign * row[i];
      work_ += graph_.num_classes() / 8;  // along an array, which is so much faster
      return;
    }
    for (std::int64_t e = graph_.begin(c); e < graph_.end(c); ++e) {
      gain_[graph_.neighbor(e)] += sign * graph_.weight(e);
    }
    work_ += graph_.end(c) - graph_.begin(c);
  }

  const WeightGraph& graph_;
  Array<double> gain_;
  Array<std::int64_t> members_;
  Array<std::int64_t> place_;  // index in members_, -1 outside
  double value_ = 0;
  std::int64_t work_ = 0;
};

}  // namespace rescale_fast
