#include <doctest/doctest.h>

#include <vector>

#include "classes/selection.h"
#include "quality/pairs.h"

using namespace rescale_fast;

TEST_CASE("pairs are counted by gap, agreement and band") {
  const double full[] = {0.5, 0.5, 0.51, 0.7}, part[] = {0.2, 0.3, 0.3, 0.1};
  const bool in_band[] = {true, true, false, true};
  const double ends[] = {0.05};
  const GapBins bins{ends, 1, 1e-9};
  std::vector<std::int64_t> counts(static_cast<std::size_t>(bins.size()) * 6, -1);
  Job job(1);
  count_pairs({full, part, in_band, 1, 4}, bins, job, counts.data());
  const std::vector<std::int64_t> expected{
      0, 0, 1, 0, 1, 0,  // near: (1, 2) is tied in part, (0, 2) alike, neither with both in the band
      1, 2, 0, 0, 0, 0,  // far: network 3 is the best in full and the worst in part
      0, 0, 0, 0, 0, 1,  // tied in full, apart in part
  };
  CHECK(counts == expected);
}

TEST_CASE("pairs are counted alike by any number of threads") {
  constexpr std::int64_t kDraws = 9, kNetworks = 300;
  Random random(1);
  std::vector<double> full(kDraws * kNetworks), part(kDraws * kNetworks);
  for (double& one : full) one = random.uniform();
  for (double& one : part) one = random.uniform();
  const std::vector<char> band(full.size(), 1);
  const double ends[] = {0.1, 0.5};
  const GapBins bins{ends, 2, 1e-9};
  const OrderDraws draws{full.data(), part.data(), reinterpret_cast<const bool*>(band.data()), kDraws, kNetworks};
  std::vector<std::int64_t> alone(kDraws * static_cast<std::size_t>(bins.size()) * 6), shared(alone.size());
  Job one(1), three(3);
  count_pairs(draws, bins, one, alone.data());
  count_pairs(draws, bins, three, shared.data());
  CHECK(alone == shared);
}
