#include "class_subset.h"

#include <algorithm>

namespace rescale_fast {

std::vector<std::int64_t> greedy_class_subset(const double* weights, std::int64_t num_classes, std::int64_t k) {
  std::int64_t first = 0, second = 1;
  for (std::int64_t i = 0; i < num_classes; ++i) {
    const double* row = weights + i * num_classes;
    for (std::int64_t j = i + 1; j < num_classes; ++j) {
      if (row[j] > weights[first * num_classes + second]) {
        first = i;
        second = j;
      }
    }
  }
  std::vector<std::int64_t> chosen;
  std::vector<double> gain(static_cast<std::size_t>(num_classes), 0.0);  // total weight to those chosen
  std::vector<bool> taken(static_cast<std::size_t>(num_classes), false);
  const auto take = [&](std::int64_t c) {
    chosen.push_back(c);
    taken[static_cast<std::size_t>(c)] = true;
    for (std::int64_t i = 0; i < num_classes; ++i) {
      gain[static_cast<std::size_t>(i)] += weights[c * num_classes + i];
    }
  };
  take(first);
  take(second);
  while (static_cast<std::int64_t>(chosen.size()) < k) {
    std::int64_t best = -1;
    for (std::int64_t i = 0; i < num_classes; ++i) {
      if (taken[static_cast<std::size_t>(i)]) continue;
      if (best < 0 || gain[static_cast<std::size_t>(i)] > gain[static_cast<std::size_t>(best)]) best = i;
    }
    take(best);
  }
  return chosen;
}

}  // namespace rescale_fast
