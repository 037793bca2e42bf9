// Searches k of n classes with the greatest sum of pairwise weights (maximum dispersion, heaviest k-subgraph).
#pragma once

#include <cstdint>
#include <vector>

namespace rescale_fast {

// Starts from the heaviest pair and adds, k - 2 times, the class with the greatest total weight to those chosen.
// Ties go to the lower index. Returns the classes in the order chosen. O(n^2 + n k).
// weights is (n, n), row-major, symmetric, with a zero diagonal. Precondition: 2 <= k <= n.
std::vector<std::int64_t> greedy_class_subset(const double* weights, std::int64_t num_classes, std::int64_t k);

}  // namespace rescale_fast
