// Searches k of n classes with the greatest sum of pairwise weights, well beyond greedy.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

#include "classes/weight_graph.h"
#include "core/array.h"
#include "core/job.h"

namespace rescale_fast {

struct SearchResult {
  Array<std::int64_t> classes;  // (k) increasing
  double value = 0;             // sum of the weights of the pairs inside
};

// Seen and set from other threads while a search runs.
class SearchWatch {
 public:
  Job& job;  // done: entries of the matrix, by all chains. Stopped: what has been found is the result
  std::atomic<double> value{0};  // the best found so far, by any chain

  SearchWatch(Job& job, double target) : job(job), target_(target) {}

  void found(double value_found, int chain) {
    double seen = value.load(std::memory_order_relaxed);
    while (value_found > seen && !value.compare_exchange_weak(seen, value_found)) {
    }
    int winner = winner_.load(std::memory_order_relaxed);
    while (value_found >= target_ && chain < winner && !winner_.compare_exchange_weak(winner, chain)) {
    }
  }
  // Only chains after the one that met the target end with it, so the first to meet it is the same in every run.
  bool is_over(int chain) const { return job.is_stopped() || winner_.load(std::memory_order_relaxed) <= chain; }
  // Whether a chain's result is looked at: with more threads, others may have met the target before the first one did.
  bool counts(int chain) const { return chain <= winner_.load(std::memory_order_relaxed); }

 private:
  double target_;  // no choice is worth more: nothing is left to search for once it is met
  std::atomic<int> winner_{std::numeric_limits<int>::max()};
};

struct SearchSettings {
  int num_chains = 1;           // independent searches; the best is returned, the earliest on ties
  std::int64_t chain_work = 0;  // of each: entries of the matrix read or written, a few ns each
  double hottest = 0;           // first temperature, in units of what a member of a choice contributes
  std::uint64_t seed = 0;
};

// Chain i begins at starts[i]; chains beyond them at random. Sparse graphs are annealed by exchanges of clusters
// (anneal.h); dense ones annealed by swaps, then searched by tabu search (tabu.h); then
// one-for-one swaps are made until none helps. The result is never worse than any of the starts, and depends on
// the seed, not on the number of threads.
// The search ends when the watch's target is met.
// Preconditions: 2 <= k <= n, num_chains >= 1, each start is of k classes.
SearchResult search_class_subset(const WeightGraph& graph, std::int64_t k, const Array<Array<std::int64_t>>& starts,
                                 const SearchSettings& settings, SearchWatch& watch);

}  // namespace rescale_fast
