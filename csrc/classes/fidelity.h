// Searches k of n classes on which networks rank as they do on all of them, and which are confused with one another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "classes/search.h"

namespace rescale_fast {

// How a network's accuracy on a set of classes follows its accuracy on all n: a model with one factor. A set S that
// carries the share s of all loadings moves by load(S) when the accuracy on all classes moves by a standard deviation,
// and its deviation from that has the variance noise(S): what the deviations of its classes add up to, seen in networks
// (residuals) and expected of any (specific; that of all classes is part of what S is compared with).
//   load(S) = sum of loadings
//   noise(S) = |sum of residuals|^2 + (1 - 2 s) sum of specific + s^2 sum of all classes' specific
//   fidelity(S) = load |load| / (load^2 + noise): the squared correlation to expect, with the sign of the load.
// The statistics that make loadings, residuals and specific variances are Python's (class_subset/fidelity.py).
class FidelityModel {
 public:
  // residuals: (n, rank). Preconditions (bind/fidelity.cpp checks them): sizes agree, all finite, specific >= 0, the
  // loadings' sum is positive.
  FidelityModel(std::vector<double> loadings, std::vector<double> specific, std::vector<double> residuals);

  std::size_t num_classes() const { return loadings_.size(); }
  std::size_t rank() const { return rank_; }
  double loading(std::size_t c) const { return loadings_[c]; }
  double specific(std::size_t c) const { return specific_[c]; }
  const double* residual(std::size_t c) const { return residuals_.data() + c * rank_; }

  // Of sums over a set: squared_residual is |sum of residuals|^2.
  double fidelity(double load, double specific, double squared_residual) const;
  double fidelity(const std::vector<std::int64_t>& classes) const;

 private:
  std::vector<double> loadings_;   // (n)
  std::vector<double> specific_;   // (n)
  std::vector<double> residuals_;  // (n, rank)
  std::size_t rank_;
  double total_loading_ = 0, total_specific_ = 0;
};

// What is sought: fidelity * fidelity(S) + confusion * (sum of the graph's weights inside S).
struct FidelityAim {
  const FidelityModel& model;
  const WeightGraph& graph;
  double fidelity = 1;
  double confusion = 0;  // >= 0; at 0 the graph is not looked at

  double value(const std::vector<std::int64_t>& classes) const;
};

struct FidelitySettings {
  int num_chains = 1;
  std::int64_t chain_moves = 0;  // swaps that a chain proposes
  std::uint64_t seed = 0;
};

// Simulated annealing over one-for-one swaps, then the best swap of all until none helps. Chain i begins at starts[i];
// chains beyond them at random. The result is never worse than any of the starts, and depends on the seed, not on the
// number of threads. A stopped job gives what has been found. watch.job's `done` counts swaps proposed.
// Preconditions: 1 <= k <= n, the graph is of n classes, num_chains >= 1, each start is of k classes.
SearchResult search_fidelity(const FidelityAim& aim, std::int64_t k,
                             const std::vector<std::vector<std::int64_t>>& starts, const FidelitySettings& settings,
                             SearchWatch& watch);

}  // namespace rescale_fast
