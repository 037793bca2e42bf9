// How strongly each pair of n classes is confused: a symmetric, non-negative matrix with a zero diagonal.
#pragma once

#include <cstdint>

#include "core/array.h"

namespace rescale_fast {

// Compressed sparse rows; both (i, j) and (j, i) are stored. Where a quarter or more of the pairs is non-zero, whole
// rows are kept as well: then a walk along a row is a walk along an array.
class WeightGraph {
 public:
  // Row c holds neighbors[offsets[c] .. offsets[c + 1]), increasing, and their weights, all positive and finite.
  // Preconditions (bind/weight_graph.cpp checks them): symmetric, no class its own neighbour, sizes agree.
  WeightGraph(Array<std::int64_t> offsets, Array<std::int32_t> neighbors, Array<double> weights);

  std::int64_t num_classes() const { return offsets_.size() - 1; }
  std::int64_t num_entries() const { return offsets_.back(); }
  std::int64_t begin(std::int64_t c) const { return offsets_[c]; }
  std::int64_t end(std::int64_t c) const { return offsets_[c + 1]; }
  std::int32_t neighbor(std::int64_t e) const { return neighbors_[e]; }
  double weight(std::int64_t e) const { return weights_[e]; }

  bool is_dense() const { return !rows_.empty(); }
  // Precondition: is_dense().
  const double* row(std::int64_t c) const { return rows_.data() + c * num_classes(); }
  double between(std::int64_t a, std::int64_t b) const;  // 0 when they are no neighbours
  double degree(std::int64_t c) const;                   // sum of the weights of c's pairs
  bool is_integral() const { return is_integral_; }      // whole weights whose sums doubles hold exactly
  double total() const { return total_; }                // sum over all pairs
  // Sum of the weights of the pairs inside; exact if is_integral().
  double value(const Array<std::int64_t>& classes) const;

 private:
  Array<std::int64_t> offsets_;    // (n + 1)
  Array<std::int32_t> neighbors_;  // (entries)
  Array<double> weights_;          // (entries)
  Array<double> rows_;             // (n, n), or empty
  double total_ = 0;
  bool is_integral_ = true;
};

}  // namespace rescale_fast
