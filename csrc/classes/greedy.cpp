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
      : graph_(graph),
        gain_(static_cast<std::size_t>(graph.num_classes())),
        best_of_block_(static_cast<std::size_t>((graph.num_classes() + kBlock - 1) / kBlock)) {
    restart();
  }

  void restart() {
    chosen_.clear();
    value_ = 0;
    std::fill(gain_.begin(), gain_.end(), 0.0);
    for (std::size_t b = 0; b < best_of_block_.size(); ++b) best_of_block_[b] = static_cast<std::int64_t>(b) * kBlock;
  }

  void take(std::int64_t c) {
    value_ += gain(c);
    chosen_.push_back(c);
    gain_[static_cast<std::size_t>(c)] = kTaken;
    if (graph_.is_dense()) {
      const double* row = graph_.row(c);
      for (std::size_t i = 0; i < gain_.size(); ++i) gain_[i] += row[i];
      for (std::size_t b = 0; b < best_of_block_.size(); ++b) find_best(b);
      return;
    }
    find_best(static_cast<std::size_t>(c / kBlock));
    for (std::int64_t e = graph_.begin(c); e < graph_.end(c); ++e) {
      const std::int64_t i = graph_.neighbor(e);
      gain_[static_cast<std::size_t>(i)] += graph_.weight(e);
      std::int64_t& best = best_of_block_[static_cast<std::size_t>(i / kBlock)];
      if (gain(i) > gain(best) || (gain(i) == gain(best) && i < best)) best = i;
    }
  }

  void take_best(std::int64_t until) {
    while (static_cast<std::int64_t>(chosen_.size()) < until) {
      std::int64_t best = best_of_block_.front();
      for (const std::int64_t i : best_of_block_) {
        if (gain(i) > gain(best)) best = i;
      }
      take(best);
    }
  }

  double value() const { return value_; }
  const std::vector<std::int64_t>& chosen() const { return chosen_; }

 private:
  double gain(std::int64_t c) const { return gain_[static_cast<std::size_t>(c)]; }
  void find_best(std::size_t block) {
    const std::int64_t first = static_cast<std::int64_t>(block) * kBlock;
    const auto from = gain_.begin() + first;
    const auto to = gain_.begin() + std::min(first + kBlock, graph_.num_classes());
    best_of_block_[block] = first + (std::max_element(from, to) - from);
  }

  const WeightGraph& graph_;
  std::vector<std::int64_t> chosen_;
  std::vector<double> gain_;
  std::vector<std::int64_t> best_of_block_;  // the class with the greatest gain in each block, the lowest on ties
  double value_ = 0;
};

std::vector<std::int64_t> by_degree(const WeightGraph& graph, std::int64_t count) {
  std::vector<double> degrees;
  for (std::int64_t c = 0; c < graph.num_classes(); ++c) degrees.push_back(graph.degree(c));
  std::vector<std::int64_t> order(degrees.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return degrees[static_cast<std::size_t>(a)] > degrees[static_cast<std::size_t>(b)];
  });
  order.resize(static_cast<std::size_t>(std::min(count, graph.num_classes())));
  return order;
}

}  // namespace

std::vector<std::int64_t> greedy_class_subset(const WeightGraph& graph, std::int64_t k) {
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

std::vector<std::int64_t> greedy_from_many_starts(const WeightGraph& graph, std::int64_t k, std::int64_t num_starts,
                                                  Job& job) {
  const std::vector<std::int64_t> starts = by_degree(graph, num_starts);
  std::vector<std::pair<double, std::vector<std::int64_t>>> best(
      static_cast<std::size_t>(job.num_threads()));  // of each thread's starts, which are consecutive
  job.for_ranges(static_cast<std::int64_t>(starts.size()), [&](int thread, std::int64_t begin, std::int64_t end) {
    Growth growth(graph);
    auto& mine = best[static_cast<std::size_t>(thread)];
    for (std::int64_t i = begin; i < end && !job.is_stopped(); ++i) {
      growth.restart();
      growth.take(starts[static_cast<std::size_t>(i)]);
      growth.take_best(k);
      if (mine.second.empty() || growth.value() > mine.first) mine = {growth.value(), growth.chosen()};
    }
  });
  const auto* winner = &best.front();
  for (const auto& candidate : best) {
    if (!candidate.second.empty() && candidate.first > winner->first) winner = &candidate;
  }
  std::vector<std::int64_t> classes = winner->second;
  std::sort(classes.begin(), classes.end());
  return classes;
}

std::vector<std::int64_t> peel_class_subset(const WeightGraph& graph, std::int64_t k, const Job& job) {
  constexpr double kDropped = std::numeric_limits<double>::infinity();  // stays so whatever is taken away
  std::vector<double> gain;
  for (std::int64_t c = 0; c < graph.num_classes(); ++c) gain.push_back(graph.degree(c));
  for (std::int64_t left = graph.num_classes(); left > k && !job.is_stopped(); --left) {
    std::size_t worst = 0;
    for (std::size_t c = 1; c < gain.size(); ++c) {
      if (gain[c] <= gain[worst]) worst = c;
    }
    gain[worst] = kDropped;
    const auto dropped = static_cast<std::int64_t>(worst);
    for (std::int64_t e = graph.begin(dropped); e < graph.end(dropped); ++e) {
      gain[static_cast<std::size_t>(graph.neighbor(e))] -= graph.weight(e);
    }
  }
  std::vector<std::int64_t> classes;
  for (std::int64_t c = 0; c < graph.num_classes() && static_cast<std::int64_t>(classes.size()) < k; ++c) {
    if (gain[static_cast<std::size_t>(c)] != kDropped) classes.push_back(c);
  }
  return classes;
}

}  // namespace rescale_fast
