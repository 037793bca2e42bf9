// Grows sets of k classes with a great sum of pairwise weights (maximum dispersion, heaviest k-subgraph) greedily.
#pragma once

#include <cstdint>

#include "classes/weight_graph.h"
#include "core/array.h"
#include "core/job.h"

namespace rescale_fast {

// Starts from the heaviest pair and adds, k - 2 times, the class with the greatest total weight to those chosen.
// Ties go to the lower index. Returns the classes in the order chosen. Precondition: 2 <= k <= n.
// A step costs the neighbours of the class added and n / 64 comparisons: gains only grow, so the best of each block
// of 64 classes is kept up to date as they do.
Array<std::int64_t> greedy_class_subset(const WeightGraph& graph, std::int64_t k);

// The same from each of the `num_starts` classes with the greatest degrees instead of from the heaviest pair; returns
// the best (of the first start, on ties), increasing. Does not depend on the number of threads. A
// job that is stopped gives what it has; nothing if it has nothing yet.
Array<std::int64_t> greedy_from_many_starts(const WeightGraph& graph, std::int64_t k, std::int64_t num_starts,
                                            Job& job);

// From all classes, drops the one worth least until k are left (reverse greedy). Of equals the higher index is dropped.
Array<std::int64_t> peel_class_subset(const WeightGraph& graph, std::int64_t k, const Job& job);

}  // namespace rescale_fast
