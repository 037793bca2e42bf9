// Searches k of n classes with the greatest sum of pairwise weights, well beyond greedy.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

namespace rescale_fast {

// The non-zero weights of each class, as compressed sparse rows; both (i, j) and (j, i) are stored.
class WeightGraph {
 public:
  // weights is (n, n), row-major, symmetric, non-negative, with a zero diagonal.
  WeightGraph(const double* weights, std::int64_t num_classes);

  std::int64_t num_classes() const { return num_classes_; }
  std::int64_t begin(std::int64_t c) const { return offsets_[static_cast<std::size_t>(c)]; }
  std::int64_t end(std::int64_t c) const { return offsets_[static_cast<std::size_t>(c) + 1]; }
  std::int64_t num_entries() const { return offsets_.back(); }
  std::int32_t neighbor(std::int64_t e) const { return neighbors_[static_cast<std::size_t>(e)]; }
  std::int32_t owner(std::int64_t e) const { return owners_[static_cast<std::size_t>(e)]; }
  double weight(std::int64_t e) const { return weights_[static_cast<std::size_t>(e)]; }

 private:
  std::int64_t num_classes_;
  std::vector<std::int64_t> offsets_;     // (n + 1)
  std::vector<std::int32_t> neighbors_;   // (entries) column of each entry
  std::vector<std::int32_t> owners_;      // (entries) row of each entry
  std::vector<double> weights_;           // (entries)
};

struct SearchResult {
  std::vector<std::int64_t> classes;  // (k) increasing
  double value = 0;                   // sum of the weights of the pairs inside
};

// Simulated annealing over exchanges of clusters: a move adds 1 to 8 classes that belong together and drops as
// many that contribute least, so heavy pairs and small clusters, which one-for-one swaps cannot exchange, change
// places. `num_chains` independent chains of `num_moves` moves each, one from greedy, one from reverse greedy
// (peeling), the rest from random starts; then one-for-one swaps until none helps. The best of all chains
// is returned, the earliest chain on ties: the result depends on the seed, not on num_threads. Never below greedy.
// `stop` may be set from another thread: the search then ends soon, with what it has found so far.
// Preconditions: 2 <= k <= n, num_chains >= 1.
SearchResult anneal_class_subset(const WeightGraph& graph, const std::vector<std::int64_t>& greedy, std::int64_t k,
                                 int num_chains, std::int64_t num_moves, std::uint64_t seed, int num_threads,
                                 const std::atomic<bool>& stop);

}  // namespace rescale_fast
