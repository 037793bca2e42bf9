#include "classes/weight_graph.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace rescale_fast {

WeightGraph::WeightGraph(Array<std::int64_t> offsets, Array<std::int32_t> neighbors, Array<double> weights)
    : offsets_(std::move(offsets)), neighbors_(std::move(neighbors)), weights_(std::move(weights)) {
  for (const double weight : weights_) {
    total_ += weight / 2;
    is_integral_ = is_integral_ && weight == std::floor(weight);
  }
  is_integral_ = is_integral_ && total_ < 0x1.0p52;
  const std::int64_t n = num_classes();
  if (num_entries() < n * (n - 1) / 4) return;
  rows_.assign(n * n, 0.0);
  for (std::int64_t c = 0; c < n; ++c) {
    for (std::int64_t e = begin(c); e < end(c); ++e) rows_[c * n + neighbor(e)] = weight(e);
  }
}

double WeightGraph::between(std::int64_t a, std::int64_t b) const {
  if (is_dense()) return row(a)[b];
  const auto first = neighbors_.begin() + begin(a), last = neighbors_.begin() + end(a);
  const auto found = std::lower_bound(first, last, b);
  return found != last && *found == b ? weight(found - neighbors_.begin()) : 0.0;
}

double WeightGraph::degree(std::int64_t c) const {
  double sum = 0;
  for (std::int64_t e = begin(c); e < end(c); ++e) sum += weight(e);
  return sum;
}

double WeightGraph::value(const Array<std::int64_t>& classes) const {
  Array<char> inside(num_classes(), 0);
  for (const std::int64_t c : classes) inside[c] = 1;
  double twice = 0;
  for (const std::int64_t c : classes) {
    for (std::int64_t e = begin(c); e < end(c); ++e) {
      if (inside[neighbor(e)]) twice += weight(e);
    }
  }
  return twice / 2;
}

}  // namespace rescale_fast
