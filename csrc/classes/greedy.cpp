#include "classes/greedy.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

namespace rescale_fast {
namespace {

constexpr std::int64_t kBlock = 64;
constexpr double kTaken = -std::numeric_limits<double>::infinity();  // stays so whatever is added

// A growing set of classes and, for each class outside, its total weight to those inside.
class Growth {
 public:
  explicit Growth(const WeightGraph& graph)
      : graph_(graph), gain_(graph.num_classes()), best_of_block_((graph.num_classes() + kBlock - 1) / kBlock) {
    restart();
  }

  void restart() {
    chosen_.clear();
    value_ = 0;
    std::fill(gain_.begin(), gain_.end(), 0.0);
    for (std::int64_t b = 0; b < best_of_block_.size(); ++b) best_of_block_[b] = b * kBlock;
  }

  void take(std::int64_t c) {
    value_ += gain(c);
    chosen_.push_back(c);
    gain_[c] = kTaken;
    if (graph_.is_dense()) {
      const double* row = graph_.row(c);
      for (std::int64_t i = 0; i < gain_.size(); ++i) gain_[i] += row[i];
      for (std::int64_t b = 0; b < best_of_block_.size(); ++b) find_best(b);
      return;
    }
    find_best(c / kBlock);
    for (std::int64_t e = graph_.begin(c); e < graph_.end(c); ++e) {
      const std::int64_t i = graph_.neighbor(e);
      gain_[i] += graph_.weight(e);
      std::int64_t& best = best_of_block_[i / kBlock];
      if (gain(i) > gain(best) || (gain(i) == gain(best) && i < best)) best = i;
    }
  }

  void take_best(std::int64_t until) {
    while (chosen_.size() < until) {
      std::int64_t best = best_of_block_.front();
      for (const std::int64_t i : best_of_block_) {
        if (gain(i) > gain(best)) best = i;
      }
      take(best);
    }
  }

  double value() const { return value_; }
  const Array<std::int64_t>& chosen() const { return chosen_; }

 private:
  double gain(std::int64_t c) const { return gain_[c]; }
  void find_best(std::int64_t block) {
    const std::int64_t first = block * kBlock;
    const auto from = gain_.begin() + first;
    const auto to = gain_.begin() + std::min(first + kBlock, graph_.num_classes());
    best_of_block_[block] = first + (std::max_element(from, to) - from);
  }

  const WeightGraph& graph_;
  Array<std::int64_t> chosen_;
  Array<double> gain_;
  Array<std::int64_t> best_of_block_;  // the class with the greatest gain in each block, the lowest on ties
  double value_ = 0;
};

Array<std::int64_t> by_degree(const WeightGraph& graph, std::int64_t count) {
  Array<double> degrees;
  for (std::int64_t c = 0; c < graph.num_classes(); ++c) degrees.push_back(graph.degree(c));
  Array<std::int64_t> order(degrees.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) { return degrees[a] > degrees[b]; });
  order.resize(std::min(count, graph.num_classes()));
  return order;
}

}  // namespace

Array<std::int64_t> greedy_class_subset(const WeightGraph& graph, std::int64_t k) {
  std::int64_t first = 0, second = 1;
  double heaviest = 0;
  for (std::int64_t c = 0; c < graph.num_classes(); ++c) {
    for (std::int64_t e = graph.begin(c); e < graph.end(c); ++e) {
      if (graph.weight(e) <= heaviest) continue;
      heaviest = graph.weight(e);
      first = c;
      second = graph.neighbor(e);
    }
  }
  Growth growth(graph);
  growth.take(first);
  growth.take(second);
  growth.take_best(k);
  return growth.chosen();
}

Array<std::int64_t> greedy_from_many_starts(const WeightGraph& graph, std::int64_t k, std::int64_t num_starts,
                                            Job& job) {
  const Array<std::int64_t> starts = by_degree(graph, num_starts);
  // Of each thread's starts, which are consecutive.
  Array<std::pair<double, Array<std::int64_t>>> best(job.num_threads());
  job.for_ranges(starts.size(), [&](int thread, std::int64_t begin, std::int64_t end) {
    Growth growth(graph);
    auto& mine = best[thread];
    for (std::int64_t i = begin; i < end && !job.is_stopped(); ++i) {
      growth.restart();
      growth.take(starts[i]);
      growth.take_best(k);
      if (mine.second.empty() || growth.value() > mine.first) mine = {growth.value(), growth.chosen()};
    }
  });
  const auto* winner = &best.front();
  for (const auto& candidate : best) {
    if (!candidate.second.empty() && candidate.first > winner->first) winner = &candidate;
  }
  Array<std::int64_t> classes = winner->second;
  std::sort(classes.begin(), classes.end());
  return classes;
}

Array<std::int64_t> peel_class_subset(const WeightGraph& graph, std::int64_t k, const Job& job) {
  constexpr double kDropped = std::numeric_limits<double>::infinity();  // stays so whatever is taken away
  Array<double> gain;
  for (std::int64_t c = 0; c < graph.num_classes(); ++c) gain.push_back(graph.degree(c));
  for (std::int64_t left = graph.num_classes(); left > k && !job.is_stopped(); --left) {
    std::int64_t worst = 0;
    for (std::int64_t c = 1; c < gain.size(); ++c) {
      if (gain[c] <= gain[worst]) worst = c;
    }
    gain[worst] = kDropped;
    for (std::int64_t e = graph.begin(worst); e < graph.end(worst); ++e) {
      gain[graph.neighbor(e)] -= graph.weight(e);
    }
  }
  Array<std::int64_t> classes;
  for (std::int64_t c = 0; c < graph.num_classes() && classes.size() < k; ++c) {
    if (gain[c] != kDropped) classes.push_back(c);
  }
  return classes;
}

}  // namespace rescale_fast
