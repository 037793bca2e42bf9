#include "quality/pairs.h"

#include <algorithm>
#include <cmath>

namespace rescale_fast {
namespace {

constexpr std::int64_t kWorthAThread = 1 << 18;  // pairs, twice: about as long as it takes to start one

// Of one draw, whose counts are zero.
void count_draw(const double* full, const double* part, const bool* in_band, std::int64_t num_networks,
                const GapBins& bins, std::int64_t* counts) {
  for (std::int64_t i = 0; i < num_networks; ++i) {
    for (std::int64_t j = i + 1; j < num_networks; ++j) {
      const double gap = full[i] - full[j], size = std::abs(gap);
      double other = part[i] - part[j];
      std::int64_t bin = 0;
      if (size < bins.tied) {
        bin = bins.num_ends + 1;
        other = std::abs(other);
      } else {
        for (std::int64_t end = 0; end < bins.num_ends; ++end) bin += size >= bins.ends[end] - bins.tied ? 1 : 0;
        other = gap < 0 ? -other : other;
      }
      const int agreement = (other > -bins.tied ? 1 : 0) + (other >= bins.tied ? 1 : 0);
      ++counts[(bin * kAgreements + agreement) * 2 + (in_band[i] && in_band[j] ? 1 : 0)];
    }
  }
}

}  // namespace

void count_pairs(const OrderDraws& draws, const GapBins& bins, Job& job, std::int64_t* counts) {
  const std::int64_t m = draws.num_networks, cells = bins.size() * kAgreements * 2;
  std::fill(counts, counts + draws.num_draws * cells, 0);
  const int threads = job.threads_for(std::min(draws.num_draws, draws.num_draws * m * m / kWorthAThread));
  job.run(threads, [&](int thread) {
    const std::int64_t begin = draws.num_draws * thread / threads, end = draws.num_draws * (thread + 1) / threads;
    for (std::int64_t draw = begin; draw < end && !job.is_stopped(); ++draw) {
      count_draw(draws.full + draw * m, draws.part + draw * m, draws.in_band + draw * m, m, bins,
                 counts + draw * cells);
    }
  });
}

}  // namespace rescale_fast
