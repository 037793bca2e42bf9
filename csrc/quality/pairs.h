// Pairs of networks, by how two orders of them agree.
#pragma once

#include <cstdint>

#include "core/job.h"

namespace rescale_fast {

constexpr int kAgreements = 3;  // ordered otherwise, tied in the other order, ordered alike

// (draws, networks) each: accuracies in two orders, and whether a network is in the band.
struct OrderDraws {
  const double* full;
  const double* part;
  const bool* in_band;
  std::int64_t num_draws;
  std::int64_t num_networks;
};

// Bins of gaps between two networks' accuracies in the first order.
struct GapBins {
  const double* ends;  // (num_ends), increasing
  std::int64_t num_ends;
  double tied;  // differences below, in either order, are ties
  std::int64_t size() const { return num_ends + 2; }
};

// Overwrites counts, (draws, bins.size(), kAgreements, 2): of each draw, pairs by the bin of their gap in the first
// order (bin b: gaps from ends[b - 1] to below ends[b]; the last bin: ties in the first order), by whether the second
// order agrees (of ties in the first: 1 tied there, too, else 2), and by whether both networks are in the band.
// Exact and the same for any number of threads, which share out the draws. One pass over the pairs of each draw.
void count_pairs(const OrderDraws& draws, const GapBins& bins, Job& job, std::int64_t* counts);

}  // namespace rescale_fast
